//! The mesh's own root: made once, kept in the store, rotated in steps, each of which is in the store before it counts.
//!
//! Where several processes share the store, one of them makes the root and takes the steps; the others follow what it kept.

use super::IdentityError;
use crate::{Clock, Store, StoreError};
use std::{sync::Arc, time::Duration};
use tombolo_ca::{Issuing, Roots, RotationPolicy};
use tombolo_core::TrustDomain;

/// The name of the roots in the store.
const NAME: &str = "ca-roots.json";

/// Where roots are kept, and how they are made and rotated.
#[derive(Clone)]
pub(super) struct Keeping {
    pub(super) domain: TrustDomain,
    pub(super) policy: RotationPolicy,
    /// Of certificates that are issued now.
    pub(super) lifetime: Duration,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The roots, and the store that they are kept in.
pub(super) struct KeptRoots {
    roots: Roots,
    keeping: Keeping,
}

impl KeptRoots {
    /// The roots of the store, if it has any. What cannot be read is never replaced: it may be the only way to what the mesh trusts.
    pub(super) fn read(keeping: &Keeping) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = keeping.store.read(NAME)? else { return Ok(None) };
        Ok(Some(Self { roots: Roots::from_json(&bytes)?, keeping: keeping.clone() }))
    }

    /// The same, or new ones where the store has none; `None` where it has none, and it is for somebody else to make them.
    pub(super) fn open(keeping: &Keeping) -> Result<Option<Self>, IdentityError> {
        if let Some(kept) = Self::read(keeping)? {
            return Ok(Some(kept));
        }
        if !keeping.store.is_ours() {
            return Ok(None);
        }
        let roots = Roots::create(&keeping.domain, keeping.clock.now(), keeping.policy.lifetime)?;
        match keeping.store.write(NAME, &roots.to_json()?) {
            Ok(()) => Ok(Some(Self { roots, keeping: keeping.clone() })),
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What signs with them.
    pub(super) fn issuing(&self) -> Result<Issuing, IdentityError> {
        Ok(Issuing::self_signed(&self.roots)?)
    }

    /// Goes on with what somebody else kept: true where that is something else. A store that lost them gets them back, from whoever
    /// may write: every workload's certificate hangs on them.
    pub(super) fn follow(&mut self) -> Result<bool, IdentityError> {
        let store = &self.keeping.store;
        let Some(bytes) = store.read(NAME)? else {
            if store.is_ours() {
                tracing::error!("the mesh's root was removed from where it is kept: it is put back");
                store.write(NAME, &self.roots.to_json()?)?;
            }
            return Ok(false);
        };
        let roots = Roots::from_json(&bytes)?;
        let differ = roots != self.roots;
        self.roots = roots;
        Ok(differ)
    }

    /// Takes the rotation's next step if it is due by this policy, and ours to take. True where it did.
    pub(super) fn advance(&mut self, policy: &RotationPolicy) -> Result<bool, IdentityError> {
        let Keeping { store, clock, .. } = &self.keeping;
        if !store.is_ours() {
            return Ok(false);
        }
        match self.roots.advance(policy, clock.now())? {
            Some(next) => self.take(next).map(|()| true),
            None => Ok(false),
        }
    }

    /// Begins a rotation now.
    pub(super) fn rotate(&mut self) -> Result<(), IdentityError> {
        let Keeping { store, policy, clock, .. } = &self.keeping;
        if !store.is_ours() {
            return Err(IdentityError::Follower);
        }
        let next = self.roots.rotate(policy, clock.now())?;
        self.take(next)
    }

    fn take(&mut self, next: Roots) -> Result<(), IdentityError> {
        // Nothing is kept that cannot sign.
        Issuing::self_signed(&next)?;
        self.keeping.store.write(NAME, &next.to_json()?)?;
        self.roots = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{At, Shared},
        *,
    };
    use rustls::pki_types::CertificateDer;

    fn open(store: &Shared, clock: &Arc<At>) -> Option<KeptRoots> {
        KeptRoots::open(&store.keeping(clock)).unwrap()
    }

    fn bundle(roots: &KeptRoots) -> Vec<CertificateDer<'static>> {
        roots.issuing().unwrap().roots().to_vec()
    }

    #[test]
    fn one_makes_and_rotates_the_root_and_the_others_follow() {
        let clock = At::new();
        let ours = Shared::default().process(true);
        let theirs = ours.process(false);
        assert!(open(&theirs, &clock).is_none(), "the root is not for everybody to make");
        let mut writer = open(&ours, &clock).unwrap();
        let mut follower = open(&theirs, &clock).unwrap();
        assert_eq!(bundle(&writer), bundle(&follower));

        assert!(matches!(follower.rotate(), Err(IdentityError::Follower)));
        writer.rotate().unwrap();
        clock.pass(Duration::from_secs(25 * 3600));
        let policy = RotationPolicy::default();
        assert!(!follower.advance(&policy).unwrap() && writer.advance(&policy).unwrap(), "one of them takes the step");
        assert_ne!(bundle(&writer), bundle(&follower));
        assert!(follower.follow().unwrap());
        assert_eq!(bundle(&writer), bundle(&follower));
    }

    #[test]
    fn a_root_that_is_removed_is_put_back_and_garbage_is_not_taken() {
        let clock = At::new();
        let store = Shared::default().process(true);
        let mut writer = open(&store, &clock).unwrap();
        let kept = store.read(NAME).unwrap();
        store.remove(NAME).unwrap();
        writer.follow().unwrap();
        assert_eq!(store.read(NAME).unwrap(), kept);

        let before = bundle(&writer);
        store.write(NAME, b"{}").unwrap();
        assert!(writer.follow().is_err());
        assert_eq!(bundle(&writer), before);
    }
}
