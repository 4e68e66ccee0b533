//! What clients reject, all together: which resource, at which version, whose, and why.

use crate::index::ConnectionId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use tombolo_proto::{ResourceType, Version};

/// A resource that some clients reject at some version. They go on with what they had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// The version that was rejected.
    pub version: Version,
    /// The words of the client that rejected it last.
    pub message: String,
    /// The connections that reject it now.
    pub connections: Vec<ConnectionId>,
}

type Key = (ResourceType, Arc<str>, Version);

pub(crate) struct Rejections {
    by_resource: Mutex<BTreeMap<Key, (String, BTreeSet<ConnectionId>)>>,
    changed: watch::Sender<()>,
}

impl Default for Rejections {
    fn default() -> Self {
        Self { by_resource: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Rejections {
    pub(crate) fn add(&self, key: Key, connection: ConnectionId, message: String) {
        {
            let mut map = self.lock();
            let entry = map.entry(key).or_default();
            entry.0 = message;
            entry.1.insert(connection);
        }
        self.changed.send_replace(());
    }

    pub(crate) fn remove(&self, key: &Key, connection: ConnectionId) {
        {
            let mut map = self.lock();
            let Some((_, connections)) = map.get_mut(key) else { return };
            connections.remove(&connection);
            if connections.is_empty() {
                map.remove(key);
            }
        }
        self.changed.send_replace(());
    }

    pub(crate) fn list(&self) -> Vec<Rejection> {
        let entry = |(key, (message, connections)): (&Key, &(String, BTreeSet<ConnectionId>))| {
            let (kind, name, version) = key.clone();
            Rejection {
                kind,
                name,
                version,
                message: message.clone(),
                connections: connections.iter().copied().collect(),
            }
        };
        self.lock().iter().map(entry).collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, (String, BTreeSet<ConnectionId>)>> {
        self.by_resource.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
