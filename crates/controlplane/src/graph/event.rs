//! What a change came to, for whoever watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tombolo_api::ObjectKey;
use tombolo_core::{Problem, SourceId};
use tombolo_proto::{ResourceType, Scope};
use tombolo_translate::status::Condition;

/// What is found of an object where it takes effect, such as by the certificate authority of its MeshInstallation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// For its status.
    pub condition: Condition,
    /// What is wrong with it, if anything.
    pub problem: Option<Problem>,
}

/// What one change came to.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Who began it.
    pub cause: Cause,
    /// The objects that are different now.
    pub objects: Vec<(ObjectKey, Edited)>,
    /// How many resources are new, different or gone, by who sees them and type.
    pub resources: BTreeMap<Scope, BTreeMap<ResourceType, usize>>,
    /// Objects whose status changed.
    pub statuses: BTreeSet<ObjectKey>,
    /// Problems that were not there before.
    pub appeared: BTreeSet<Problem>,
    /// Problems that are no more.
    pub resolved: BTreeSet<Problem>,
    /// Units of translation that were built: the work done.
    pub units: usize,
    /// From the change to resources ready to send.
    pub took: Duration,
}

/// Who began a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A source said something new.
    Source(SourceId),
    /// Something is known from outside: a kind of proxy that was not seen before, where a gateway binds, a
    /// workload's health.
    Facts,
    /// Proxies rejected something, or no longer do.
    Rejections,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each says what it is
pub enum Edited {
    Added,
    Changed,
    Removed,
}

impl Applied {
    pub(super) fn new(cause: Cause) -> Self {
        let (objects, resources, statuses, appeared, resolved, units, took) = Default::default();
        Self { cause, objects, resources, statuses, appeared, resolved, units, took }
    }

    /// True where nothing is different for anybody.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.resources.is_empty() && self.appeared.is_empty() && self.resolved.is_empty()
    }

    /// Notes the problems that came and went.
    pub(super) fn differ(&mut self, old: &BTreeSet<Problem>, new: &BTreeSet<Problem>) {
        self.appeared.extend(new.difference(old).cloned());
        self.resolved.extend(old.difference(new).cloned());
    }
}
