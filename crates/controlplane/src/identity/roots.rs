//! The mesh's own root: made once, kept in the store, rotated in steps, each of which is in the store before it counts.
//!
//! Where several processes share the store, one of them makes the root and takes the steps; the others follow what it kept.

use super::IdentityError;
use crate::{Clock, Store, StoreError};
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
    /// The roots of the store, or new ones where it has none; `None` where it has none, and it is for somebody else to make them.
    /// What cannot be read is never replaced: it may be the only way to what the mesh trusts.
    pub(super) fn open(
        domain: &TrustDomain,
        policy: &RotationPolicy,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, IdentityError> {
        let roots = match store.read(NAME)? {
            Some(bytes) => Roots::from_json(&bytes)?,
            None if !store.is_ours() => return Ok(None),
            None => {
                let roots = Roots::create(domain, clock.now(), policy.lifetime)?;
                match store.write(NAME, &roots.to_json()?) {
                    Ok(()) => roots,
                    Err(StoreError::Conflict(_)) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let signer = Arc::new(LocalSigner::new(Issuing::self_signed(&roots)?));
        let (policy, store, clock) = (policy.clone(), store.clone(), clock.clone());
        Ok(Some(Self { roots, policy, signer, store, clock }))
    }

    pub(super) fn signer(&self) -> Arc<LocalSigner> {
        self.signer.clone()
    }

    /// Goes on with what somebody else kept. A store that lost them gets them back, from whoever may write: every workload's
    /// certificate hangs on them.
    pub(super) fn follow(&mut self) -> Result<(), IdentityError> {
        let Some(bytes) = self.store.read(NAME)? else {
            if self.store.is_ours() {
                tracing::error!("the mesh's root was removed from where it is kept: it is put back");
                self.store.write(NAME, &self.roots.to_json()?)?;
            }
            return Ok(());
        };
        let roots = Roots::from_json(&bytes)?;
        if roots != self.roots {
            let issuing = Issuing::self_signed(&roots)?;
            if let Err(error) = issuing.can_follow(&self.signer.current(), self.clock.now()) {
                tracing::error!("the mesh's root was replaced by one that workloads do not know: {error}");
            }
            self.signer.replace(issuing);
            self.roots = roots;
        }
        Ok(())
    }

    /// Takes the rotation's next step if it is due, and ours to take. True where it did.
    pub(super) fn advance(&mut self) -> Result<bool, IdentityError> {
        if !self.store.is_ours() {
            return Ok(false);
        }
        match self.roots.advance(&self.policy, self.clock.now())? {
            Some(next) => self.take(next).map(|()| true),
            None => Ok(false),
        }
    }

    /// Begins a rotation now.
    pub(super) fn rotate(&mut self) -> Result<(), IdentityError> {
        if !self.store.is_ours() {
            return Err(IdentityError::Follower);
        }
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
