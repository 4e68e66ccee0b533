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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        time::{Duration, SystemTime},
    };
    use tombolo_ca::Signer;

    /// What several processes share: one of them writes.
    #[derive(Clone, Default)]
    struct Shared {
        values: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
        writes: Arc<AtomicBool>,
    }

    impl Shared {
        fn process(&self, writes: bool) -> Self {
            Self { values: self.values.clone(), writes: Arc::new(writes.into()) }
        }

        fn open(&self, clock: &Arc<At>) -> Option<KeptRoots> {
            let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (Arc::new(self.clone()), clock.clone());
            KeptRoots::open(&TrustDomain::default(), &RotationPolicy::default(), &store, &clock).unwrap()
        }
    }

    impl Store for Shared {
        fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.values.lock().unwrap().get(name).cloned())
        }

        fn write(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
            assert!(self.is_ours());
            self.values.lock().unwrap().insert(name.to_owned(), value.to_vec());
            Ok(())
        }

        fn remove(&self, name: &str) -> Result<(), StoreError> {
            self.values.lock().unwrap().remove(name);
            Ok(())
        }

        fn is_ours(&self) -> bool {
            self.writes.load(Relaxed)
        }
    }

    struct At(Mutex<SystemTime>);

    impl Clock for At {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn bundle(roots: &KeptRoots) -> String {
        roots.signer().trust().roots().pems().concat()
    }

    #[test]
    fn one_makes_and_rotates_the_root_and_the_others_follow() {
        let clock = Arc::new(At(Mutex::new(SystemTime::now())));
        let (ours, theirs) = (Shared::default().process(true), Shared::default());
        let theirs = Shared { values: ours.values.clone(), ..theirs };
        assert!(theirs.open(&clock).is_none(), "the root is not for everybody to make");
        let mut writer = ours.open(&clock).unwrap();
        let mut follower = theirs.open(&clock).unwrap();
        assert_eq!(bundle(&writer), bundle(&follower));

        assert!(matches!(follower.rotate(), Err(IdentityError::Follower)));
        writer.rotate().unwrap();
        *clock.0.lock().unwrap() += Duration::from_secs(25 * 3600);
        assert!(!follower.advance().unwrap() && writer.advance().unwrap(), "one of them takes the step");
        assert_ne!(bundle(&writer), bundle(&follower));
        follower.follow().unwrap();
        assert_eq!(bundle(&writer), bundle(&follower));
    }

    #[test]
    fn a_root_that_is_removed_is_put_back_and_garbage_is_not_taken() {
        let clock = Arc::new(At(Mutex::new(SystemTime::now())));
        let store = Shared::default().process(true);
        let mut writer = store.open(&clock).unwrap();
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
