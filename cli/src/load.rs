//! Manifests from files to a world, by the code that serves.

use std::{collections::BTreeSet, path::PathBuf, time::SystemTime};
use tombolo_controlplane::{Update, World, directory};
use tombolo_core::{Problem, SourceId};
use tombolo_translate::engine::{Fact, Relation};

/// Manifests, and all that they come to.
pub(crate) struct Loaded {
    /// Objects, resources, statuses.
    pub(crate) world: World,
    /// Documents of kinds that no mesh reads.
    pub(crate) foreign: usize,
}

impl Loaded {
    /// Reads everything. Fails only where something cannot be read at all.
    pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let source = SourceId::new("files");
        let contents = directory::read_once(paths, source)?;
        let mut world = World::default();
        let update =
            Update { edits: contents.edits, problems: Some(contents.problems), synced: true, ..Update::default() };
        world.update(source, update, SystemTime::UNIX_EPOCH);
        Ok(Self { world, foreign: contents.foreign })
    }

    /// As if sidecars were connected from every namespace that an object is in.
    pub(crate) fn with_sidecars(mut self) -> Self {
        let namespaces = self.namespaces();
        let facts = namespaces.into_iter().map(|ns| (Relation::SidecarNamespace(ns.as_str().into()), Fact::Unit));
        self.world.learn(facts.collect(), SystemTime::UNIX_EPOCH);
        self
    }

    /// The namespaces that objects are in.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        let names = self.world.snapshot().keys().map(|key| key.name.namespace.to_string());
        names.filter(|namespace| !namespace.is_empty()).collect()
    }

    /// Everything that is wrong, in order of place.
    pub(crate) fn problems(&self) -> BTreeSet<Problem> {
        self.world.problems()
    }
}
