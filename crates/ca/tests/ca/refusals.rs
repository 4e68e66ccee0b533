//! Every refusal by its name, its gRPC code, and its count.

use crate::support::{
    DAY, DENIED, HOUR, ID, INSTANCE, INVALID, Identity, Mesh, UNAUTHENTICATED, UNAVAILABLE, by_certificate, by_token,
    csr, request,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, SanType};
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};
use tombolo_ca::{
    Answer, CaCerts, Chain, INSTANCE_ID, IssueRequest, Issued, Issuing, LocalSigner, Proof, Roots, Signer, SignerError,
    TrustBundle,
};
use tombolo_core::TrustDomain;

#[tokio::test]
async fn nothing_proves_nothing() {
    let mesh = Mesh::new();
    let asked = request(&KeyPair::generate().unwrap());
    assert_eq!(mesh.refusal(Proof::default(), &asked).await, ("no_proof", UNAUTHENTICATED));
}

#[tokio::test]
async fn what_is_not_known_can_be_asked_again() {
    let mesh = Mesh::new();
    *mesh.world.unreachable.lock().unwrap() = true;
    assert_eq!(mesh.refused_token(&mesh.token()).await, ("existence_unknown", UNAVAILABLE));
}

#[tokio::test]
async fn who_was_revoked_gets_nothing() {
    let mesh = Mesh::new();
    let identity = mesh.join().await;
    mesh.world.revoked.lock().unwrap().insert(INSTANCE.to_owned());
    assert_eq!(mesh.refused_chain(&identity.chain).await, ("revoked", DENIED));
    // A token that is still valid does not help: the certificate proved who asks.
    let token = mesh.token();
    let both = Proof { token: Some(&token), chain: &identity.chain, peer: None };
    assert_eq!(mesh.issue(both, &request(&identity.key)).await.unwrap_err().reason(), "revoked");
    let stream = mesh.authority.authenticate(by_certificate(&identity.chain), mesh.now).await;
    assert_eq!(stream.unwrap_err().reason(), "revoked");
}

#[tokio::test]
async fn certificates_of_others_are_refused_by_name() {
    let mesh = Mesh::new();
    let foreign = Mesh::new().join().await;
    assert_eq!(mesh.refused_chain(&foreign.chain).await, ("foreign_root", UNAUTHENTICATED));
    let own = mesh.join().await;
    let mut garbage = own.chain.clone();
    garbage[0] = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x00]);
    assert_eq!(mesh.refused_chain(&garbage).await, ("not_workload", UNAUTHENTICATED));
    let mesh = Mesh::new();
    assert_eq!(
        mesh.refused_chain(mesh.authority.bundle().roots().ders()).await.0,
        "not_workload",
        "a root is no workload"
    );
}

/// Somebody else's authority, whose root we trust, must not name our workloads, nor other things.
#[tokio::test]
async fn trusted_roots_cannot_name_everything() {
    let cases = [
        (vec!["spiffe://other.domain/ns/shop/sa/reviews"], ("other_trust_domain", DENIED)),
        (vec!["https://example.com"], ("not_workload", UNAUTHENTICATED)),
        (vec![ID, "spiffe://cluster.local/ns/shop/sa/admin"], ("not_workload", UNAUTHENTICATED)),
        (vec![], ("not_workload", UNAUTHENTICATED)),
    ];
    for (uris, refusal) in cases {
        let (mesh, sign) = provided();
        assert_eq!(mesh.refused_chain(&[sign(&uris)]).await, refusal);
    }
}

type Sign = Box<dyn Fn(&[&str]) -> CertificateDer<'static>>;

/// A mesh with a provided authority, and that authority's hand.
fn provided() -> (Mesh, Sign) {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let now = std::time::SystemTime::now();
    let (pem, key_pem) = (root.pem(), key.serialize_pem());
    let files = CaCerts {
        cert: Some(pem.as_bytes()),
        key: Some(key_pem.as_bytes()),
        chain: Some(pem.as_bytes()),
        root: Some(pem.as_bytes()),
    };
    let signer = Arc::new(LocalSigner::new(Issuing::provided(&files, now).unwrap()));
    let mesh = Mesh::with(now, Roots::create(&TrustDomain::default(), now, DAY).unwrap(), signer);
    let sign = move |uris: &[&str]| {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        let issuer = Issuer::from_params(&params, &key);
        leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    };
    (mesh, Box::new(sign))
}

#[tokio::test]
async fn certificates_count_in_their_time_and_a_little_longer_for_renewal() {
    let mut mesh = Mesh::new();
    let identity = mesh.join().await;
    let end = mesh.now + DAY;
    mesh.now = end + DAY;
    let renewed = mesh.renew(&identity).await;
    assert!(renewed.is_ok(), "one that expired yesterday comes back");
    let stream = mesh.authority.authenticate(by_certificate(&identity.chain), mesh.now).await;
    assert_eq!(stream.unwrap_err().reason(), "certificate_expired", "on the certificate service only");
    mesh.now = end + 7 * DAY;
    assert_eq!(
        mesh.renew(&identity).await.err().unwrap().reason(),
        "certificate_expired",
        "after the window it does not"
    );
    mesh.now = end - 2 * DAY;
    assert_eq!(mesh.refused_chain(&identity.chain).await, ("certificate_not_yet_valid", UNAUTHENTICATED));
}

#[tokio::test]
async fn an_expired_root_leads_nowhere() {
    let mut mesh = Mesh::new();
    let end = mesh.roots.active().expires().unwrap();
    mesh.now = end - HOUR;
    let identity = mesh.join().await;
    mesh.now = end + HOUR;
    assert_eq!(mesh.refused_chain(&identity.chain).await, ("root_expired", UNAUTHENTICATED));
    let mesh = Mesh { now: end + HOUR, ..mesh };
    assert_eq!(mesh.refused_token(&mesh.token()).await, ("signer_failed", UNAVAILABLE));
}

/// What a bundle remembers of a chain comes to the same as verifying it anew, whenever it is asked.
#[tokio::test]
async fn a_chain_that_is_known_is_judged_like_a_new_one() {
    let mut mesh = Mesh::new();
    let root_ends = mesh.roots.active().expires().unwrap();
    for joined in [mesh.now, root_ends - HOUR] {
        mesh.now = joined;
        let identity = mesh.join().await;
        let bundle = || TrustBundle::new(mesh.authority.bundle().roots().ders().to_vec()).unwrap();
        let knowing = bundle();
        let ends = [joined, joined - HOUR, joined + HOUR, joined + DAY, joined + 2 * DAY, joined + 8 * DAY, root_ends];
        let second = Duration::from_secs(1);
        let times = ends.iter().flat_map(|end| [*end - second, *end, *end + second]);
        // There and back: clocks may be set back.
        for at in times.clone().chain(times.clone().rev()) {
            for rejoin in [Duration::ZERO, 7 * DAY] {
                let recognized = knowing.recognize(&identity.chain, at, rejoin).map_err(|no| no.to_string());
                let verified = bundle().verify(&identity.chain, at, rejoin).map_err(|no| no.to_string());
                assert_eq!(recognized, verified, "at {at:?}");
            }
        }
        assert!(knowing.recognize(&[], joined, DAY).is_err(), "no chain is not the one that is known");
    }
}

#[tokio::test]
async fn requests_that_are_none_are_refused_by_name() {
    let key = KeyPair::generate().unwrap();
    let good = csr(&key, &[]);
    let other = csr(&KeyPair::generate().unwrap(), &[]);
    for text in
        ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----", &good.replace("CERTIFICATE REQUEST", "PRIVATE KEY")]
    {
        assert_eq!(Mesh::new().refused_csr(text).await, ("csr_garbage", INVALID));
    }
    let oversized = good.clone() + &"\n".repeat(32 * 1024);
    assert_eq!(Mesh::new().refused_csr(&oversized).await, ("csr_oversized", INVALID));
    // The signature of another request of the same form.
    let [mut mine, theirs] = [&good, &other].map(|text| pem::parse(text).unwrap().into_contents());
    let (mine_end, theirs_end) = (mine.len() - 60, theirs.len() - 60);
    mine.truncate(mine_end);
    mine.extend(&theirs[theirs_end..]);
    let spliced = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", mine));
    let (reason, code) = Mesh::new().refused_csr(&spliced).await;
    assert!(matches!(reason, "csr_signature" | "csr_garbage") && code == INVALID, "{reason}");
    let mut flipped = pem::parse(&good).unwrap().into_contents();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let flipped = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", flipped));
    assert_eq!(Mesh::new().refused_csr(&flipped).await, ("csr_signature", INVALID));
    let edwards = csr(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), &[]);
    assert_eq!(Mesh::new().refused_csr(&edwards).await, ("csr_weak_key", INVALID));
    assert_eq!(Mesh::new().refused_csr(RSA_1024).await, ("csr_weak_key", INVALID));
}

#[tokio::test]
async fn requests_for_others_are_refused() {
    let key = KeyPair::generate().unwrap();
    let admin = "spiffe://cluster.local/ns/shop/sa/admin";
    for uris in [vec![admin], vec![ID, admin]] {
        assert_eq!(Mesh::new().refused_csr(&csr(&key, &uris)).await, ("csr_other_name", DENIED));
    }
    assert_eq!(Mesh::new().refused_metadata("ImpersonatedIdentity", admin).await, ("impersonation", DENIED));
    for instance in ["no spaces", "pod/6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b"] {
        assert_eq!(Mesh::new().refused_metadata(INSTANCE_ID, instance).await, ("bad_instance", INVALID));
    }
}

struct Broken(Arc<LocalSigner>);

impl Signer for Broken {
    fn sign<'a>(&'a self, _: &'a IssueRequest<'a>) -> Answer<'a, Result<Issued, SignerError>> {
        Box::pin(std::future::ready(Err(SignerError::Remote("nobody approves".into()))))
    }
    fn trust(&self) -> Arc<TrustBundle> {
        self.0.trust()
    }
    fn chain(&self) -> Arc<Chain> {
        self.0.chain()
    }
    fn expiries(&self) -> Vec<(&'static str, std::time::SystemTime)> {
        self.0.expiries()
    }
}

#[tokio::test]
async fn a_signer_that_fails_can_be_asked_again() {
    let mesh = Mesh::new();
    let authority = mesh.with_ports(None, Arc::new(Broken(mesh.signer.clone())));
    let refusal =
        authority.issue(by_token(&mesh.token()), &request(&KeyPair::generate().unwrap()), mesh.now).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.code()), ("signer_failed", UNAVAILABLE));
}

#[tokio::test]
async fn every_refusal_is_on_the_page_of_metrics() {
    let mesh = Mesh::new();
    mesh.refused_token("x").await;
    Identity::new(
        KeyPair::generate().unwrap(),
        &mesh.issue(by_token(&mesh.token()), &request(&KeyPair::generate().unwrap())).await.unwrap(),
    );
    let mut registry = prometheus_client::registry::Registry::default();
    mesh.authority.telemetry().register(mesh.authority.signer(), &mut registry);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    for line in [
        "tombolo_ca_refusals_total{reason=\"garbage_token\"} 1",
        "tombolo_ca_certificates_issued_total{proof=\"token\"} 1",
        "tombolo_ca_certificate_expiry_timestamp_seconds{certificate=\"root\"} 2215360000",
    ] {
        assert!(page.contains(line), "{line} is missing:\n{page}");
    }
}

/// A request with an RSA key of 1024 bits, which libraries of today do not make any more.
const RSA_1024: &str = "-----BEGIN CERTIFICATE REQUEST-----\n\
MIIBSzCBtQIBADAMMQowCAYDVQQDDAF4MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB\n\
iQKBgQDMvlzDTl4IG4kZ/7wiX9CvSnz39lhyJFknPVrHVshf97rf7AnNCznXCQsy\n\
scKMxRiwzSusoz4Ep61SP9aURzE+GPUhJ3+yimbTAN88R5zwRL5p/GuknBUWBE5+\n\
BFea1xZLCp1+VVt9Fd7Bp3OPSyhHelx9A/HUJ0r9ff8kSXTIOQIDAQABoAAwDQYJ\n\
KoZIhvcNAQELBQADgYEAamG3asYli2wW9XY3rz0A5BMLovWj/HUKQbqWYDTLCOB5\n\
v/6BYED4DhXUtcrLpg4fI8EBRddYtDIyfLPVYNxOc7dkNEKNBjx3MJpVYC6THS+X\n\
Ad1xQxbSzkoDqTfM+l2CRyhZxM9xa6QJhj/HMuUf7H4bK13M4tTNBcw1KBT9PA4=\n\
-----END CERTIFICATE REQUEST-----\n\
";
