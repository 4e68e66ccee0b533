//! Signing with a key that is at hand: a self-signed root, or an intermediate that was provided.

use super::{IssueRequest, Issued, Signer, SignerError, leaf};
use crate::{
    Chain, TrustBundle,
    certificate::{AuthorityFacts, CertificateError},
    exists::Answer,
    moment,
    root::{RootError, Roots},
};
use arc_swap::ArcSwap;
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use std::{fmt, sync::Arc, time::SystemTime};

/// A key that signs, with everything parsed that signing needs.
pub struct Issuing {
    issuer: Issuer<'static, KeyPair>,
    /// When the last certificate between here and the root begins.
    first: i64,
    /// When the first certificate between here and the root, both included, is over.
    last: i64,
    chain: Arc<Chain>,
    trust: Arc<TrustBundle>,
    expiries: Vec<(&'static str, SystemTime)>,
}

impl Issuing {
    /// By the active root.
    ///
    /// # Errors
    /// [`RootError`] where a certificate or key cannot be read.
    pub fn self_signed(roots: &Roots) -> Result<Self, RootError> {
        let authority = roots.active().certificate()?;
        let facts = AuthorityFacts::parse(&authority).map_err(RootError::Certificate)?;
        let issuer = Issuer::from_ca_cert_der(&authority, roots.active().key_pair()?)?;
        let trust = TrustBundle::new(roots.trusted()?).map_err(RootError::Certificate)?;
        Ok(Self {
            issuer,
            first: facts.not_before,
            last: facts.not_after,
            chain: Arc::new(Chain::new(roots.cross()?)),
            trust: Arc::new(trust),
            expiries: vec![("root", moment::system(facts.not_after))],
        })
    }

    /// By `authority` with its key. `chain` begins with it, unless it is one of the roots.
    pub(super) fn new(
        authority: &CertificateDer<'static>,
        key: KeyPair,
        chain: Vec<CertificateDer<'static>>,
        trust: TrustBundle,
    ) -> Result<Self, CertificateError> {
        let not_after = |der: &CertificateDer<'_>| AuthorityFacts::parse(der).map(|facts| facts.not_after);
        let AuthorityFacts { not_before: mut first, not_after: own, .. } = AuthorityFacts::parse(authority)?;
        let mut last = own;
        for der in &chain {
            let facts = AuthorityFacts::parse(der)?;
            (first, last) = (first.max(facts.not_before), last.min(facts.not_after));
        }
        let root = trust.roots().ders().last().map(not_after).transpose()?.unwrap_or(last);
        let issuer = Issuer::from_ca_cert_der(authority, key).map_err(|_| CertificateError::Garbage)?;
        let expiries = vec![("intermediate", moment::system(own)), ("root", moment::system(root))];
        Ok(Self { issuer, first, last, chain: Arc::new(Chain::new(chain)), trust: Arc::new(trust), expiries })
    }

    /// The same in a mesh that trusts these roots besides: of whoever is to sign next, and of whoever signed before.
    ///
    /// # Errors
    /// Where one of them is not a certificate authority's.
    pub fn beside(self, others: &[CertificateDer<'static>]) -> Result<Self, CertificateError> {
        let own = self.roots();
        let mut roots: Vec<CertificateDer<'static>> = Vec::new();
        for other in others {
            if !own.contains(other) && !roots.contains(other) {
                roots.push(other.clone());
            }
        }
        if roots.is_empty() {
            return Ok(self);
        }
        // The active one last, as agents expect it.
        roots.extend_from_slice(own);
        Ok(Self { trust: Arc::new(TrustBundle::new(roots)?), ..self })
    }

    /// The roots that peers are to trust, the active one last.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        self.trust.roots().ders()
    }

    /// The roots that peers are to trust.
    pub(super) fn trust(&self) -> Arc<TrustBundle> {
        self.trust.clone()
    }

    /// Whether its certificate, or one that it needs, is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.last <= moment::unix(now)
    }

    /// When it may sign from.
    pub(super) fn begins(&self) -> SystemTime {
        moment::system(self.first)
    }

    pub(super) fn issue(&self, request: &IssueRequest<'_>) -> Result<Issued, SignerError> {
        let leaf = leaf::sign(&self.issuer, request, self.last)?;
        Ok(Issued {
            leaf: leaf.der,
            chain: self.chain.clone(),
            trust: self.trust.clone(),
            serial: leaf.serial,
            not_after: moment::system(leaf.not_after),
        })
    }
}

impl fmt::Debug for Issuing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuing").field("issuer", &self.issuer).field("last", &self.last).finish_non_exhaustive()
    }
}

/// Signs with a key at hand, which can be replaced while it signs: by a rotation, or when files change.
#[derive(Debug)]
pub struct LocalSigner(ArcSwap<Issuing>);

impl LocalSigner {
    /// Signs with this.
    pub fn new(issuing: Issuing) -> Self {
        Self(ArcSwap::from_pointee(issuing))
    }

    /// What it signs with.
    pub fn current(&self) -> Arc<Issuing> {
        self.0.load_full()
    }

    /// Signs with that from now on.
    pub fn replace(&self, issuing: Issuing) {
        self.0.store(Arc::new(issuing));
    }
}

impl Signer for LocalSigner {
    fn sign<'a>(&'a self, request: &'a IssueRequest<'a>) -> Answer<'a, Result<Issued, SignerError>> {
        // One load for the leaf, its chain and the roots: a rotation in between must not mix them.
        Box::pin(std::future::ready(self.0.load().issue(request)))
    }

    fn trust(&self) -> Arc<TrustBundle> {
        self.0.load().trust.clone()
    }

    fn chain(&self) -> Arc<Chain> {
        self.0.load().chain.clone()
    }

    fn expiries(&self) -> Vec<(&'static str, SystemTime)> {
        self.0.load().expiries.clone()
    }
}
