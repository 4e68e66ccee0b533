//! Which streams an instance has open.

use crate::connection::Connection;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tombolo_core::InstanceId;

type Key = (Arc<str>, InstanceId);

/// Streams by namespace and instance of who opened them, as far as that is known. An instance has one, or two for a moment.
#[derive(Default)]
pub(crate) struct Instances(Mutex<HashMap<Key, Vec<Arc<Connection>>>>);

impl Instances {
    pub(crate) fn insert(&self, connection: &Arc<Connection>) {
        if let Some(key) = key(connection) {
            self.lock().entry(key).or_default().push(connection.clone());
        }
    }

    pub(crate) fn remove(&self, connection: &Connection) {
        let Some(key) = key(connection) else { return };
        let mut instances = self.lock();
        if let Some(connections) = instances.get_mut(&key) {
            connections.retain(|open| !std::ptr::eq(&**open, connection));
            if connections.is_empty() {
                instances.remove(&key);
            }
        }
    }

    pub(crate) fn of(&self, namespace: &str, instance: &InstanceId) -> Vec<Arc<Connection>> {
        self.lock().get(&(namespace.into(), instance.clone())).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Connection>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(connection: &Connection) -> Option<Key> {
    let peer = connection.peer.as_ref()?;
    Some((peer.id.namespace.clone(), peer.instance.clone()?))
}
