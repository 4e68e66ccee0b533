//! The roots that a mesh trusts, parsed once, and whether a chain leads to one of them.

use crate::{
    Chain, Refusal, WorkloadCertificate,
    certificate::{AuthorityFacts, CertificateError},
    moment,
};
use aws_lc_rs::digest::{self, SHA256};
use lru::LruCache;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::{
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use webpki::{EndEntityCert, Error, KeyUsage};

/// Chains that are remembered: more agents than shake hands at once.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The roots of one moment. Immutable: a rotation puts another bundle in its place.
#[derive(Debug)]
pub struct TrustBundle {
    chain: Chain,
    /// The root that lasts longest first, so that those not expired are a prefix.
    anchors: Vec<TrustAnchor<'static>>,
    expiries: Vec<i64>,
    /// Chains that were found to lead to a root, by their digest.
    verified: Mutex<LruCache<[u8; digest::SHA256_OUTPUT_LEN], Verified>>,
}

/// What came of verifying a chain.
#[derive(Clone, Debug)]
struct Verified {
    certificate: WorkloadCertificate,
    /// While it comes to the same, in seconds since the epoch; but for the end of the leaf, which is judged each time.
    while_in: RangeInclusive<i64>,
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
        Ok(Self { chain: Chain::new(roots), anchors, expiries, verified: Mutex::new(LruCache::new(REMEMBERED)) })
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
        let now = moment::unix(now);
        let (leaf, intermediates) = chain.split_first().ok_or(Refusal::NoProof)?;
        let certificate = WorkloadCertificate::parse(leaf).map_err(Refusal::NotWorkload)?;
        let at = judged(&certificate, now, rejoin)?;
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
        if let Some(last) = self.last_moment(living.len(), intermediates) {
            let verified = Verified { certificate: certificate.clone(), while_in: now..=last };
            self.verified.lock().unwrap_or_else(PoisonError::into_inner).put(digest_of(chain), verified);
        }
        Ok(certificate)
    }

    /// As [`verify`](Self::verify), and with the same outcome; but a chain that was verified before, as the handshake of a request's
    /// connection does, is not verified a second time.
    ///
    /// # Errors
    /// A [`Refusal`] about certificates.
    pub fn recognize(
        &self,
        chain: &[CertificateDer<'_>],
        now: SystemTime,
        rejoin: Duration,
    ) -> Result<WorkloadCertificate, Refusal> {
        let at = moment::unix(now);
        let known = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest_of(chain)).cloned();
        match known.filter(|known| known.while_in.contains(&at)) {
            Some(known) => judged(&known.certificate, at, rejoin).map(|_| known.certificate),
            None => self.verify(chain, now, rejoin),
        }
    }

    /// Until when the same roots count, and so do these intermediates.
    fn last_moment(&self, living: usize, intermediates: &[CertificateDer<'_>]) -> Option<i64> {
        let mut last = *self.expiries.get(..living)?.last()?;
        for intermediate in intermediates {
            last = last.min(AuthorityFacts::parse(intermediate).ok()?.not_after);
        }
        Some(last)
    }
}

/// As of which moment a leaf is judged.
fn judged(certificate: &WorkloadCertificate, now: i64, rejoin: Duration) -> Result<i64, Refusal> {
    let at = now.min(certificate.not_after);
    let expired = now - at;
    if expired > 0 && expired >= moment::seconds(rejoin) {
        return Err(Refusal::CertificateExpired(expired));
    }
    Ok(at)
}

fn digest_of(chain: &[CertificateDer<'_>]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&SHA256);
    for der in chain {
        context.update(&der.len().to_be_bytes());
        context.update(der);
    }
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    digest
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
