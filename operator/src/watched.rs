//! What is watched: for the controllers, which watch it, and for readiness, which asks whether it can be read.

use crate::{
    context::Context,
    kinds::{self, Kind},
    names,
};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    runtime::watcher,
};
use std::collections::BTreeSet;

/// Some objects of a kind, wherever control planes may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched {
    pub(crate) kind: Kind,
    objects: Objects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Objects {
    All,
    /// Those that the operator made.
    Made,
    /// That of one name: permission may be for that one only.
    Named(&'static str),
}

/// All objects of a kind.
pub(crate) fn all(kind: Kind) -> Watched {
    Watched { kind, objects: Objects::All }
}

fn made(kind: Kind) -> Watched {
    Watched { kind, objects: Objects::Made }
}

/// What installations are made of, and what may stand in the way of each: anybody's.
pub(crate) fn beside_installations() -> impl Iterator<Item = Watched> {
    let class = Watched { kind: kinds::GATEWAY_CLASS, objects: Objects::Named(names::GATEWAY_CLASS) };
    [all(kinds::REVISION), all(kinds::TAG), class].into_iter()
}

/// What is made for revisions.
pub(crate) fn for_revisions() -> impl Iterator<Item = Watched> {
    kinds::OF_REVISION.into_iter().map(made)
}

/// What is made for tags.
pub(crate) fn for_tags() -> impl Iterator<Item = Watched> {
    let certificate = Watched { kind: kinds::SECRET, objects: Objects::Named(names::WEBHOOK_SECRET) };
    [made(kinds::SERVICE), made(kinds::VALIDATING_WEBHOOK), certificate].into_iter()
}

/// Whatever any controller watches.
pub(crate) fn everything() -> BTreeSet<Watched> {
    let whole = [kinds::DEFINITION, kinds::INSTALLATION, kinds::REVISION, kinds::TAG].into_iter().map(all);
    whole.chain(beside_installations()).chain(for_revisions()).chain(for_tags()).collect()
}

impl Watched {
    /// Where the objects are: one API for each namespace, if the kind has such.
    pub(crate) fn apis(self, context: &Context) -> Vec<Api<DynamicObject>> {
        let everywhere = [String::new()];
        let namespaces = if self.kind.namespaced { &*context.namespaces } else { &everywhere };
        namespaces.iter().map(|namespace| self.kind.objects(&context.client, namespace)).collect()
    }

    /// How a controller watches them.
    pub(crate) fn config(self) -> watcher::Config {
        let config = watcher::Config::default();
        match self.objects {
            Objects::All => config,
            Objects::Made => config.labels(&of_ours()),
            Objects::Named(name) => config.fields(&of_name(name)),
        }
    }

    /// How one is read of those that would be watched.
    pub(crate) fn one(self) -> ListParams {
        let one = ListParams::default().limit(1);
        match self.objects {
            Objects::All => one,
            Objects::Made => one.labels(&of_ours()),
            Objects::Named(name) => one.fields(&of_name(name)),
        }
    }
}

fn of_ours() -> String {
    format!("{}={}", names::MANAGED_BY, names::MANAGER)
}

fn of_name(name: &str) -> String {
    format!("metadata.name={name}")
}
