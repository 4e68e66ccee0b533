//! What is kept of certificates, as a function of what was kept and of the time. No client, no clock.
//!
//! One authority signs for all control planes of a namespace. It is replaced as the mesh's own root is (announced, switched,
//! retired), only faster: what trusts it is one object, which is written at each step, and what shows its certificates are
//! files that the kubelet renews within minutes.

use futures::FutureExt as _;
use k8s_openapi::ByteString;
use rcgen::{CertificateParams, KeyPair};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use tombolo_ca::{
    Csr, CsrError, IssueRequest, Issuing, LocalSigner, RootError, Roots, RotationPolicy, ServerNames, Signer as _,
    SignerError, Subject, certificates,
};
use tombolo_core::TrustDomain;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// The content of the Secret.
pub(super) type Data = BTreeMap<String, ByteString>;

/// The authorities with their keys, and how far their rotation is.
const AUTHORITIES: &str = "authorities.json";
/// The authorities' certificates: what the API server is to trust.
pub(super) const BUNDLE: &str = "ca.crt";
/// What control planes show. Names as in Secrets of type `kubernetes.io/tls`.
pub(crate) const CERTIFICATE: &str = "tls.crt";
/// Its key.
pub(crate) const KEY: &str = "tls.key";

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How authorities come and go. A new one signs an hour after the webhooks trust it, and the one before is trusted for a day
/// after that: any kubelet that works has renewed its files by then.
const AUTHORITY: RotationPolicy = RotationPolicy {
    lifetime: DAY.saturating_mul(365),
    announce: HOUR,
    overlap: DAY,
    renew_before: DAY.saturating_mul(120),
};
/// Of the certificate that is shown.
const LIFETIME: Duration = DAY.saturating_mul(90);
/// It is renewed when less than this is left: the operator may be away for that long.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// It begins in the past, for API servers whose clock is behind.
const BACKDATE: Duration = HOUR;

/// Certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificatesError {
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Request(#[from] CsrError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error("a key could not be made: {0}")]
    Key(#[from] rcgen::Error),
}

/// What is to be kept: the same where nothing is due. What cannot be read is made anew.
pub(super) fn settle(kept: &Data, namespace: &str, now: SystemTime) -> Result<Data, CertificatesError> {
    let mut roots = match Roots::from_json(content(kept, AUTHORITIES)) {
        Ok(roots) if roots.active().expires()? > now => roots,
        // Whoever trusts it is told of the next one at once: there is no need to go on from here.
        _ => Roots::create(&authority(), now, AUTHORITY.lifetime)?,
    };
    while let Some(next) = roots.advance(&AUTHORITY, now)? {
        roots = next;
    }
    let signer = LocalSigner::new(Issuing::self_signed(&roots)?);
    let (certificate, key) = (content(kept, CERTIFICATE), content(kept, KEY));
    let serves = is_good(certificate, key, &roots, namespace, now)?;
    let shown = if serves { (certificate.to_vec(), key.to_vec()) } else { issue(&signer, namespace, now)? };
    let bundle = signer.trust().roots().pems().concat();
    let entries =
        [(AUTHORITIES, roots.to_json()?), (BUNDLE, bundle.into_bytes()), (CERTIFICATE, shown.0), (KEY, shown.1)];
    Ok(entries.into_iter().map(|(name, content)| (name.to_owned(), ByteString(content))).collect())
}

fn content<'a>(kept: &'a Data, name: &str) -> &'a [u8] {
    kept.get(name).map_or(&[], |content| &content.0)
}

/// What authorities are said to belong to. No workload's identity is of it.
fn authority() -> TrustDomain {
    TrustDomain::parse("webhooks.mesh.tombolo.dev").unwrap_or_default()
}

/// Any Service of the namespace: nobody trusts the authority but webhooks that lead to a Service of ours, and a new tag needs no
/// new certificate.
fn name(namespace: &str) -> String {
    format!("*.{namespace}.svc")
}

/// Whether a certificate can be shown for long enough, with its key.
fn is_good(certificate: &[u8], key: &[u8], roots: &Roots, namespace: &str, now: SystemTime) -> Result<bool, RootError> {
    let authority = roots.active().certificate()?;
    let judge = || {
        let chain = certificates(certificate).ok()?;
        let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let (_, authority) = x509_parser::parse_x509_certificate(&authority).ok()?;
        let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
        let (end, last) = (leaf.validity().not_after.timestamp(), authority.validity().not_after.timestamp());
        let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(end.try_into().ok()?);
        // None lasts longer than its authority: another would be no better.
        let lasts = ends > now + RENEW_BEFORE || end == last;
        let paired = key.public_key_raw() == &*leaf.public_key().subject_public_key.data;
        // Each authority has a name of its own.
        let signed = leaf.issuer().as_raw() == authority.subject().as_raw();
        Some(lasts && paired && signed && names(&leaf, &name(namespace)))
    };
    Ok(judge().unwrap_or(false)) // one that cannot be read cannot be shown
}

fn names(leaf: &X509Certificate<'_>, name: &str) -> bool {
    let names = leaf.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| names.value.general_names.contains(&GeneralName::DNSName(name)))
}

/// A new key and its certificate, in PEM.
fn issue(signer: &LocalSigner, namespace: &str, now: SystemTime) -> Result<(Vec<u8>, Vec<u8>), CertificatesError> {
    let key = KeyPair::generate()?;
    let csr = Csr::from_der(CertificateParams::default().serialize_request(&key)?.der().to_vec())?;
    let subject = Subject::Server(ServerNames { dns: vec![name(namespace)], ips: Vec::new() });
    let request = IssueRequest { csr: &csr, subject, not_before: now - BACKDATE, not_after: now + LIFETIME };
    // A key at hand signs at once.
    let issued = signer.sign(&request).now_or_never().unwrap_or(Err(SignerError::Expired))?;
    let chain = std::iter::once(issued.leaf).chain(issued.chain.ders().iter().cloned()).collect();
    let chain = tombolo_ca::Chain::new(chain).pems().concat();
    Ok((chain.into_bytes(), key.serialize_pem().into_bytes()))
}

#[cfg(test)]
mod tests;
