//! A store that several processes share, and a clock that is set.

use super::roots::Keeping;
use crate::{Clock, Store, StoreError};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tombolo_ca::RotationPolicy;
use tombolo_core::TrustDomain;

/// What several processes share: one of them writes.
#[derive(Clone, Default)]
pub(super) struct Shared {
    pub(super) values: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub(super) writes: Arc<AtomicBool>,
}

impl Shared {
    /// One of the processes.
    pub(super) fn process(&self, writes: bool) -> Self {
        Self { values: self.values.clone(), writes: Arc::new(writes.into()) }
    }

    /// How it keeps roots.
    pub(super) fn keeping(&self, clock: &Arc<At>) -> Keeping {
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (Arc::new(self.clone()), clock.clone());
        let policy = RotationPolicy::default();
        Keeping { domain: TrustDomain::default(), lifetime: policy.announce, policy, store, clock }
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

/// A clock that is set.
pub(super) struct At(pub(super) Mutex<SystemTime>);

impl At {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemTime::now())))
    }

    pub(super) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for At {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}
