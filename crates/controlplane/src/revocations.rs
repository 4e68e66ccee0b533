//! Ends the streams of an instance that is revoked while it is connected: new streams and renewals are refused anyhow.

use crate::{Edited, World, identity::revoked_by};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::{
    Kind, Metadata, ObjectKey,
    istio::{GROUP_ANNOTATION, WorkloadEntry, WorkloadGroup},
    mesh::REVOKED_ANNOTATION,
};
use tombolo_core::{InstanceId, NamespacedName, SpiffeId};
use tombolo_xds::{Hub, Peer, Refusal};

/// Looks at what changed. The cost follows that, and whom it revokes.
pub(crate) fn enforce(hub: &Hub, world: &World, changed: &[(ObjectKey, Edited)]) {
    for (key, _) in changed {
        let namespace = &key.name.namespace;
        for instance in listed(world, key) {
            if let Some(by) = revoked_by(world, namespace, &instance) {
                hub.refuse(namespace, &instance, &Refusal::Denied(message(&by)));
            }
        }
    }
}

/// Why a caller may open no stream, if its instance is revoked.
pub(crate) fn refusal(world: &World, peer: &Peer) -> Option<Refusal> {
    let Peer { id: SpiffeId { namespace, .. }, instance } = peer;
    let by = revoked_by(world, namespace, instance.as_ref()?)?;
    Some(Refusal::Denied(message(&by)))
}

fn message(by: &str) -> String {
    format!("this instance was revoked by {by}")
}

/// The instances that an object revokes, or that the group of an entry does. Whether that counts, translation says.
fn listed(world: &World, key: &ObjectKey) -> BTreeSet<InstanceId> {
    let objects = world.snapshot();
    let metadata = match key.kind {
        Kind::WorkloadEntry => objects.get::<WorkloadEntry>(key).map(|entry| &entry.metadata),
        Kind::WorkloadGroup => objects.get::<WorkloadGroup>(key).map(|group| &group.metadata),
        _ => None,
    };
    let group = metadata.and_then(|metadata| metadata.annotations.get(GROUP_ANNOTATION)).and_then(|name| {
        let name = NamespacedName { namespace: key.name.namespace.clone(), name: name.clone() };
        let key = ObjectKey { kind: Kind::WorkloadGroup, name, source: key.source };
        objects.get::<WorkloadGroup>(&key).map(|group| &group.metadata)
    });
    metadata.into_iter().chain(group).flat_map(instances).collect()
}

fn instances(metadata: &Metadata) -> impl Iterator<Item = InstanceId> {
    let listed: Option<&Arc<str>> = metadata.annotations.get(REVOKED_ANNOTATION);
    // What is no id is nobody's.
    listed.into_iter().flat_map(|ids| ids.split(',')).filter_map(|id| InstanceId::parse(id.trim()).ok())
}
