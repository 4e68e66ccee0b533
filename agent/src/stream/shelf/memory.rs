//! A shelf that lasts as long as the process.

use super::{Keep, Kind, Name, Shelf, Sync};
use crate::stream::{version::Version, wire::Resource};
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<Kind, HashMap<Name, Resource>>);

impl Keep for Memory {
    fn size(&self) -> (usize, usize) {
        let all = || self.0.values().flat_map(HashMap::values);
        (all().count(), all().map(|resource| resource.bytes.len()).sum())
    }

    fn sync(&mut self) -> Option<Sync> {
        None
    }

    fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, HashMap::len)
    }
}

impl Shelf for Memory {
    fn version(&self, kind: &str, name: &str) -> Option<Version> {
        Some(self.0.get(kind)?.get(name)?.version.clone())
    }

    fn get(&mut self, kind: &str, name: &str) -> Option<Resource> {
        self.0.get(kind)?.get(name).cloned()
    }

    fn put(&mut self, kind: &Kind, resource: Resource) {
        self.0.entry(kind.clone()).or_default().insert(resource.name.clone(), resource.detached());
    }

    fn remove(&mut self, kind: &str, name: &str) {
        if let Some(resources) = self.0.get_mut(kind) {
            resources.remove(name);
        }
    }

    fn names(&self, kind: &str) -> Vec<Name> {
        self.0.get(kind).into_iter().flat_map(HashMap::keys).cloned().collect()
    }
}
