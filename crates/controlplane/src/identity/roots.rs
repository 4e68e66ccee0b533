//! The mesh's own root: made once, kept in the store, rotated in steps, each of which is on disk before it counts.

use super::IdentityError;
use crate::{Clock, Store};
use std::sync::Arc;
use tombolo_ca::{Issuing, LocalSigner, Roots, RotationPolicy};
use tombolo_core::TrustDomain;

/// The name of the roots in the store.
const NAME: &str = "ca-roots.json";

/// The roots, the signer that works with them, and the store that they are kept in.
pub(super) struct KeptRoots {
    roots: Roots,
    policy: RotationPolicy,
    signer: Arc<LocalSigner>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl KeptRoots {
    /// The roots of the store, or new ones where it has none. What cannot be read is never replaced: it may be the only way to
    /// what the mesh trusts.
    pub(super) fn open(
        domain: &TrustDomain,
        policy: RotationPolicy,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IdentityError> {
        let roots = match store.read(NAME)? {
            Some(bytes) => Roots::from_json(&bytes)?,
            None => {
                let roots = Roots::create(domain, clock.now(), policy.lifetime)?;
                store.write(NAME, &roots.to_json()?)?;
                roots
            }
        };
        let signer = Arc::new(LocalSigner::new(Issuing::self_signed(&roots)?));
        Ok(Self { roots, policy, signer, store, clock })
    }

    pub(super) fn signer(&self) -> Arc<LocalSigner> {
        self.signer.clone()
    }

    /// Takes the rotation's next step if it is due. True where it did.
    pub(super) fn advance(&mut self) -> Result<bool, IdentityError> {
        match self.roots.advance(&self.policy, self.clock.now())? {
            Some(next) => self.take(next).map(|()| true),
            None => Ok(false),
        }
    }

    /// Begins a rotation now.
    pub(super) fn rotate(&mut self) -> Result<(), IdentityError> {
        let next = self.roots.rotate(&self.policy, self.clock.now())?;
        self.take(next)
    }

    fn take(&mut self, next: Roots) -> Result<(), IdentityError> {
        let issuing = Issuing::self_signed(&next)?;
        self.store.write(NAME, &next.to_json()?)?;
        self.signer.replace(issuing);
        self.roots = next;
        Ok(())
    }
}
