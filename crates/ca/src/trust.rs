//! The roots that a mesh trusts, parsed once, and whether a chain leads to one of them.

use crate::{
    Chain, Refusal, WorkloadCertificate,
    certificate::{AuthorityFacts, CertificateError},
    moment,
};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::{Duration, SystemTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// The roots of one moment. Immutable: a rotation puts another bundle in its place.
#[derive(Debug)]
pub struct TrustBundle {
    chain: Chain,
    /// The root that lasts longest first, so that those not expired are a prefix.
    anchors: Vec<TrustAnchor<'static>>,
    expiries: Vec<i64>,
}

impl TrustBundle {
    /// Of these roots, the active one last.
    ///
    /// # Errors
    /// Where one of them is not a certificate, or not one of a certificate authority.
    pub fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, CertificateError> {
        let mut parsed = Vec::with_capacity(roots.len());
        for root in &roots {
            let facts = AuthorityFacts::parse(root)?;
            let anchor = webpki::anchor_from_trusted_cert(root).map_err(|_| CertificateError::Garbage)?.to_owned();
            parsed.push((facts.not_after, anchor));
        }
        parsed.sort_by_key(|(not_after, _)| std::cmp::Reverse(*not_after));
        let (expiries, anchors) = parsed.into_iter().unzip();
        Ok(Self { chain: Chain::new(roots), anchors, expiries })
    }

    /// The roots in both encodings, the active one last.
    pub fn roots(&self) -> &Chain {
        &self.chain
    }

    /// Whether a client's chain, leaf first, leads to a root, now. A leaf that expired less than `rejoin` ago passes: it is judged as
    /// of its last moment, while the root must count now.
    ///
    /// # Errors
    /// A [`Refusal`] about certificates.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: SystemTime,
        rejoin: Duration,
    ) -> Result<WorkloadCertificate, Refusal> {
        let (leaf, intermediates) = chain.split_first().ok_or(Refusal::NoProof)?;
        let certificate = WorkloadCertificate::parse(leaf).map_err(Refusal::NotWorkload)?;
        let now = moment::unix(now);
        let at = now.min(certificate.not_after);
        let expired = now - at;
        if expired > 0 && expired >= moment::seconds(rejoin) {
            return Err(Refusal::CertificateExpired(expired));
        }
        let living = self.expiries.partition_point(|not_after| *not_after >= now);
        let (living, expired) = self.anchors.split_at(living);
        leads_to(living, leaf, intermediates, at).map_err(|error| match error {
            Error::UnknownIssuer if leads_to(expired, leaf, intermediates, at).is_ok() => Refusal::RootExpired,
            Error::CertNotValidYet { .. } if at < certificate.not_before => {
                Refusal::CertificateNotYetValid(certificate.not_before - at)
            }
            Error::BadDer | Error::BadDerTime => Refusal::NotWorkload(CertificateError::Garbage),
            error => Refusal::ForeignRoot(format!("{error:?}").chars().take(100).collect()),
        })?;
        Ok(certificate)
    }
}

fn leads_to(
    anchors: &[TrustAnchor<'_>],
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    at: i64,
) -> Result<(), Error> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.max(0).unsigned_abs()));
    let usage = KeyUsage::client_auth();
    EndEntityCert::try_from(leaf)?
        .verify_for_usage(webpki::ALL_VERIFICATION_ALGS, anchors, intermediates, at, usage, None, None)
        .map(drop)
}
