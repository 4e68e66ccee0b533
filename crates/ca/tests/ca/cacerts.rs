//! The four files of Istio's Secret `cacerts`: what is accepted, and by what reason the rest is refused.

use crate::support::{DAY, HOUR, Mesh};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use time::OffsetDateTime;
use tombolo_ca::{CaCerts, CaCertsError, Issuing, LocalSigner, PemError, Roots};
use tombolo_core::TrustDomain;

fn now() -> SystemTime {
    crate::support::start()
}

fn day(days: i64) -> OffsetDateTime {
    let seconds = now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap() + time::Duration::days(days)
}

fn authority(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (day(-1), day(365));
    params
}

/// root ─► middle ─► ca, as an organisation would have it.
#[derive(Clone)]
struct Files {
    cert: String,
    key: String,
    chain: String,
    root: String,
}

impl Files {
    fn with(change: impl FnOnce(&mut CertificateParams, &mut CertificateParams, &mut CertificateParams)) -> Self {
        let [root_key, middle_key, key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let mut root = authority("root", BasicConstraints::Unconstrained);
        let mut middle = authority("middle", BasicConstraints::Constrained(1));
        let mut ca = authority("ca", BasicConstraints::Constrained(0));
        change(&mut root, &mut middle, &mut ca);
        let ca = ca.signed_by(&key, &Issuer::from_params(&middle, &middle_key)).unwrap().pem();
        let middle = middle.signed_by(&middle_key, &Issuer::from_params(&root, &root_key)).unwrap().pem();
        let root = root.self_signed(&root_key).unwrap().pem();
        Self { chain: format!("{ca}{middle}"), cert: ca, key: key.serialize_pem(), root }
    }

    fn good() -> Self {
        Self::with(|_, _, _| {})
    }

    fn files(&self) -> CaCerts<'_> {
        CaCerts {
            cert: Some(self.cert.as_bytes()),
            key: Some(self.key.as_bytes()),
            chain: Some(self.chain.as_bytes()),
            root: Some(self.root.as_bytes()),
        }
    }

    fn refusal(&self) -> CaCertsError {
        Issuing::provided(&self.files(), now()).unwrap_err()
    }

    fn mesh(&self) -> Mesh {
        let signer = Arc::new(LocalSigner::new(Issuing::provided(&self.files(), now()).unwrap()));
        Mesh::with(now(), Roots::create(&TrustDomain::default(), now(), DAY).unwrap(), signer)
    }
}

#[tokio::test]
async fn a_provided_intermediate_signs_and_renews() {
    let mesh = Files::good().mesh();
    let identity = mesh.join().await;
    assert_eq!((identity.chain.len(), identity.roots.len()), (3, 1));
    mesh.renew(&identity).await.unwrap();
    let roles: Vec<&str> = mesh.authority.signer().expiries().iter().map(|(role, _)| *role).collect();
    assert_eq!(roles, ["intermediate", "root"]);
}

/// Some chains lack the signing certificate, some end with the root, some authorities are the root, and some keys are RSA.
#[tokio::test]
async fn common_variants_are_accepted() {
    let good = Files::good();
    let without_first = Files { chain: good.chain.replace(&good.cert, ""), ..good.clone() };
    let with_root = Files { chain: format!("{}{}", good.chain, good.root), ..good };
    for files in [without_first, with_root] {
        assert_eq!(files.mesh().join().await.chain.len(), 3);
    }
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let root = authority("only", BasicConstraints::Unconstrained).self_signed(&key).unwrap().pem();
    let only = Files { cert: root.clone(), key: key.serialize_pem(), chain: root.clone(), root };
    let mesh = only.mesh();
    let identity = mesh.join().await;
    assert_eq!((identity.chain.len(), identity.roots.len()), (1, 1));
    mesh.renew(&identity).await.unwrap();
}

#[tokio::test]
async fn no_certificate_outlives_its_intermediate() {
    let mesh = Files::with(|_, middle, _| middle.not_after = day(0) + time::Duration::hours(3)).mesh();
    let identity = mesh.join().await;
    let certificate = tombolo_ca::WorkloadCertificate::parse(&identity.chain[0]).unwrap();
    assert_eq!(certificate.expires(), now() + 3 * HOUR);
}

#[test]
fn partial_files_are_refused_and_what_lacks_is_named() {
    let good = Files::good();
    let partial = CaCerts { key: None, root: None, ..good.files() };
    let refusal = Issuing::provided(&partial, now()).unwrap_err();
    assert_eq!(refusal, CaCertsError::Missing("ca-key.pem, root-cert.pem".into()));
    let empty = Files { root: String::new(), ..good };
    assert_eq!(empty.refusal(), CaCertsError::Empty("root-cert.pem"));
}

#[test]
fn files_that_are_something_else_are_refused() {
    let good = Files::good();
    let swapped = Files { cert: good.key.clone(), ..good.clone() };
    assert_eq!(swapped.refusal(), CaCertsError::Pem { file: "ca-cert.pem", error: PemError::Other });
    let torn = Files { chain: good.chain[..good.chain.len() - 40].to_owned(), ..good.clone() };
    assert!(
        matches!(torn.refusal(), CaCertsError::Pem { file: "cert-chain.pem", .. } | CaCertsError::Chain(_)),
        "{}",
        torn.refusal()
    );
    let no_key = Files { key: good.cert.clone(), ..good.clone() };
    assert_eq!(no_key.refusal(), CaCertsError::Key);
    let others = Files { key: KeyPair::generate().unwrap().serialize_pem(), ..good };
    assert_eq!(others.refusal(), CaCertsError::KeyMismatch);
}

#[test]
fn what_would_not_be_trusted_is_refused() {
    let good = Files::good();
    let foreign = Files { root: Files::good().root, ..good.clone() };
    assert!(matches!(foreign.refusal(), CaCertsError::Chain(_)));
    let gap = Files { chain: good.cert.clone(), ..good };
    assert!(matches!(gap.refusal(), CaCertsError::Chain(_)));
    let too_long = Files::with(|_, middle, _| middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert!(matches!(too_long.refusal(), CaCertsError::Chain(reason) if reason.contains("PathLen")));
}

/// As an organisation replaces its root: each step is accepted, a leap is not.
#[test]
fn another_intermediate_follows_where_peers_trust_both() {
    let (old, new) = (Files::good(), Files::good());
    let issuing = |files: &Files| Issuing::provided(&files.files(), now()).unwrap();
    let announced = Files { root: format!("{}{}", new.root, old.root), ..old.clone() };
    let switched = Files { root: format!("{}{}", old.root, new.root), ..new.clone() };
    for [before, after] in [[&old, &announced], [&announced, &switched], [&switched, &new]] {
        assert_eq!(issuing(after).can_follow(&issuing(before), now()), Ok(()));
    }
    assert_eq!(issuing(&new).can_follow(&issuing(&old), now()), Err(CaCertsError::Unannounced));
    assert_eq!(issuing(&switched).can_follow(&issuing(&old), now()), Err(CaCertsError::Unannounced));
    assert_eq!(issuing(&new).can_follow(&issuing(&announced), now()), Err(CaCertsError::Forgotten));

    // Nobody trusts one that is over: there is nothing to keep.
    let short = Files::with(|_, _, ca| ca.not_after = day(1));
    assert_eq!(issuing(&new).can_follow(&issuing(&short), now() + 2 * DAY), Ok(()));
}

/// What was provided before is judged by what it can do, and not by what else is in its files.
#[test]
fn what_is_kept_counts_while_it_leads_to_a_root() {
    let counts = |files: &Files, now| Issuing::kept(&files.files(), now).unwrap().counts(now).is_ok();
    let (good, old) = (Files::good(), Files::with(|root, _, _| root.not_after = day(1)));
    let spared =
        Files { root: format!("{}{}", old.root, good.root), chain: good.chain.clone() + &old.root, ..good.clone() };
    for (days, expected) in [(-9, true), (0, true), (2, true), (366, false)] {
        let now = SystemTime::from(day(days));
        assert_eq!(counts(&spared, now), expected, "on day {days}");
    }
    for short in [
        Files::with(|root, _, _| root.not_after = day(1)),
        Files::with(|_, middle, _| middle.not_after = day(1)),
        Files::with(|_, _, ca| ca.not_after = day(1)),
    ] {
        assert!(counts(&short, now()) && !counts(&short, now() + 2 * DAY));
    }
}

#[test]
fn certificates_that_cannot_sign_now_are_refused_with_their_file() {
    let expired = |file: &'static str| CaCertsError::Expired(file);
    assert_eq!(
        Files::with(|_, _, ca| ca.not_after = day(0) - Duration::from_secs(1)).refusal(),
        expired("ca-cert.pem")
    );
    assert_eq!(Files::with(|_, middle, _| middle.not_after = day(0) - HOUR).refusal(), expired("cert-chain.pem"));
    assert_eq!(Files::with(|root, _, _| root.not_after = day(0) - HOUR).refusal(), expired("root-cert.pem"));
    assert_eq!(Files::with(|_, _, ca| ca.not_before = day(1)).refusal(), CaCertsError::NotYetValid("ca-cert.pem"));
    let leaf = Files::with(|_, _, ca| ca.is_ca = IsCa::ExplicitNoCa);
    assert!(matches!(leaf.refusal(), CaCertsError::Certificate { file: "ca-cert.pem", .. }));
    let usage = Files::with(|_, _, ca| ca.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    assert!(matches!(usage.refusal(), CaCertsError::Certificate { file: "ca-cert.pem", .. }));
}
