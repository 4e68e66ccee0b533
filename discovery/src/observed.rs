//! The status that objects were last seen with: what a writer compares with, so that it reads nothing and writes only differences.

use serde_json::Value;
use std::{collections::HashMap, sync::Mutex};
use tombolo_api::{Kind, ObjectKey};

/// What was last seen of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Its `resourceVersion`.
    pub(crate) version: String,
    /// Its whole status, others' parts included; null where it has none.
    pub(crate) status: Value,
}

/// What was last seen of every object whose status may be written.
#[derive(Debug, Default)]
pub(crate) struct Observed(Mutex<HashMap<ObjectKey, Seen>>);

impl Observed {
    /// Kinds whose status is written here.
    pub(crate) const KINDS: [Kind; 5] =
        [Kind::GatewayClass, Kind::Gateway, Kind::HttpRoute, Kind::ServiceEntry, Kind::WorkloadEntry];

    /// Notes an object, if it is of a kind that counts.
    pub(crate) fn see(&self, key: &ObjectKey, seen: impl FnOnce() -> Seen) {
        if Self::KINDS.contains(&key.kind) {
            self.all().insert(key.clone(), seen());
        }
    }

    /// The object is gone.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.all().remove(key);
    }

    /// What was last seen.
    #[allow(dead_code)] // the writer's
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Seen> {
        self.all().get(key).cloned()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, Seen>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
