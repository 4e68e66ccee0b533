//! Which Gateway a pod serves that somebody else deployed: that of the Service it is behind.

use crate::{Edited, World};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, Uid};
use tombolo_translate::engine::{Fact, Relation};
use tombolo_xds::{Hub, Peer, Refusal};

/// Who was let in and has no stream after so long has gone.
const GONE: Duration = Duration::from_secs(60);

/// The Gateway whose Service a proven pod is behind, if it is behind any that is deployed by hand.
pub(crate) fn gateway_of(world: &World, peer: &Peer) -> Option<NamespacedName> {
    let pod = Uid::parse(peer.instance.as_ref()?.pod()?)?;
    // Of the pod's own namespace: nobody else says which pods are behind its Services.
    let gateways = Relation::GatewayPod(peer.id.namespace.clone(), pod);
    let mut gateways = world.engine().facts(&gateways).filter_map(|fact| match fact {
        Fact::Object(key) if world.has_status(key) => Some(&key.name),
        _ => None,
    });
    gateways.next().cloned()
}

/// The pods that were let in for the Service they are behind, and what each serves. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Assigned(Arc<Mutex<Pods>>);

/// What each serves, and since when.
type Pods = HashMap<Peer, (NamespacedName, Instant)>;

impl Assigned {
    /// Notes whom a pod serves that is let in. Those that have gone are forgotten with the edits of EndpointSlices that say so.
    pub(crate) fn insert(&self, peer: Peer, gateway: NamespacedName) {
        self.lock().insert(peer, (gateway, Instant::now()));
    }

    /// Ends the streams of pods that are for another Gateway now, or no longer for theirs: they come back, and are told what is so. One
    /// whose Gateway went goes on with nothing, until another names its Service. The cost of an edit that may be about it follows how many
    /// such pods there are.
    pub(crate) fn enforce(&self, hub: &Hub, world: &World, changed: &[(ObjectKey, Edited)]) {
        let mut pods = self.lock();
        if pods.is_empty() || !changed.iter().any(|(key, _)| concerns(&pods, key)) {
            return;
        }
        pods.retain(|peer, (serves, since)| {
            let why = match gateway_of(world, peer) {
                Some(gateway) if gateway == *serves => None,
                Some(gateway) => Some(format!("its Service has become that of Gateway {gateway}")),
                None if world.named(Kind::Gateway, serves).any(|key| world.has_status(&key)) => {
                    Some(format!("it is behind no Service of Gateway {serves} any more"))
                }
                None => None,
            };
            let Some((why, instance)) = why.zip(peer.instance.as_ref()) else { return is_there(hub, peer, *since) };
            hub.refuse(&peer.id.namespace, instance, &Refusal::Unavailable(why)) == 0 && since.elapsed() < GONE
        });
    }

    fn lock(&self) -> MutexGuard<'_, Pods> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an edit of an object may make pods serve something else.
fn concerns(pods: &Pods, key: &ObjectKey) -> bool {
    match key.kind {
        Kind::Gateway | Kind::GatewayClass | Kind::ReferenceGrant => true,
        Kind::Service | Kind::EndpointSlice => pods.keys().any(|peer| peer.id.namespace == key.name.namespace),
        _ => false,
    }
}

/// False for who has gone.
fn is_there(hub: &Hub, peer: &Peer, since: Instant) -> bool {
    since.elapsed() < GONE || peer.instance.as_ref().is_some_and(|instance| hub.has(&peer.id.namespace, instance))
}
