//! What a client that comes back says it holds.

use crate::index::Index;
use std::{collections::HashMap, sync::Arc};
use tombolo_proto::{Resource, ResourceType, Version};

/// Names with versions; nearly all of what a replica that starts anew is told first, by all clients in the same moment. So what is here
/// just so is kept as a word each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    known: Vec<Arc<Resource>>,
    /// Versions that nobody shows; `None` where it is not one of ours.
    others: Vec<(Arc<str>, Option<Version>)>,
}

impl Held {
    /// The client holds this, in its own words.
    pub(crate) fn add(&mut self, kind: ResourceType, name: &str, version: &str, index: &Index) {
        let version = Version::parse(version);
        match version.and_then(|version| index.copy(kind, name, version)) {
            Some(resource) => self.known.push(resource.clone()),
            None => self.others.push((index.shared_name(kind, name), version)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.others.is_empty()
    }

    /// Some version of those, if any is ours.
    pub(crate) fn any(&self) -> Option<Version> {
        self.known.first().map(|known| known.version()).or_else(|| self.others.first()?.1)
    }

    /// To look names up in.
    pub(crate) fn into_versions(self) -> HashMap<Arc<str>, Option<Version>> {
        let known = self.known.into_iter().map(|resource| (resource.name().clone(), Some(resource.version())));
        known.chain(self.others).collect()
    }
}
