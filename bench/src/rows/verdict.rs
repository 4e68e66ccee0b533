//! Whether the clients ended with what they should.

use super::{edits::Edits, subject::Subject};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_bench::{
    fixture::Mesh,
    generator::{Generator, Holdings},
    oracle,
};
use tombolo_core::ProxyKind;
use tombolo_proto::ResourceSet;
use tombolo_registry::Snapshot;
use tombolo_translate::{
    Engine, Interception, Variant,
    engine::{Fact, Relation},
};

/// Holds what every client has against the fixture with its edits, and against a translation from scratch.
pub(super) fn check(generator: &mut Generator, subject: &Subject, mesh: Mesh, edits: &Edits) -> anyhow::Result<()> {
    let holdings = generator.holdings()?;
    oracle::endpoints(&holdings, mesh, |service| edits.of(service))?;
    let expected = from_scratch(&subject.snapshot()?, mesh);
    for group in holdings {
        for namespace in namespaces(&group, mesh) {
            let (kind, seen) = (ProxyKind::Sidecar, Variant::default());
            let scopes = tombolo_translate::scopes(kind, &namespace, "", &seen, Interception::Captured);
            oracle::resources(std::slice::from_ref(&group), &expected, &scopes)?;
        }
    }
    Ok(())
}

fn namespaces(group: &Holdings, mesh: Mesh) -> BTreeSet<String> {
    group.clients.iter().map(|client| Mesh::namespace_name(client % mesh.namespaces)).collect()
}

fn from_scratch(snapshot: &Snapshot, mesh: Mesh) -> ResourceSet {
    let (_, outcome) = Engine::from_scratch(snapshot, sidecars(mesh));
    let mut set = ResourceSet::default();
    for change in outcome.changes {
        set.apply(change);
    }
    set
}

/// What is known from outside: in every namespace there are clients.
pub(super) fn sidecars(mesh: Mesh) -> impl Iterator<Item = (Relation, Fact)> {
    let namespace = |nth| Arc::<str>::from(Mesh::namespace_name(nth));
    (0..mesh.namespaces).map(move |nth| (Relation::SidecarNamespace(namespace(nth)), Fact::Unit))
}
