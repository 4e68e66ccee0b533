//! The rules of the mesh, one test each, and its laws.

mod endpoints;
mod envoy;
mod health;
mod identity;
mod laws;
mod merge;
mod names;
mod sidecar;
mod universe;

use crate::{Interception, testing::World};
use prost::Message;
use std::collections::BTreeSet;
use tombolo_core::ProxyKind;
use tombolo_proto::{
    ResourceType,
    envoy::envoy::config::{listener::v3::Listener, route::v3::RouteConfiguration},
};

/// What Envoy refuses: a name twice in a table, a match twice in a listener.
fn unique(world: &World, namespace: &str, workload: &str, interception: Interception) {
    let variant = crate::Variant::default();
    let scopes = crate::scopes(ProxyKind::Sidecar, namespace, workload, &variant, interception);
    for (name, table) in world.seen(&scopes, ResourceType::Routes) {
        let table = RouteConfiguration::decode(table.value()).unwrap();
        let domains: Vec<&String> = table.virtual_hosts.iter().flat_map(|host| &host.domains).collect();
        assert_eq!(domains.len(), domains.iter().collect::<BTreeSet<_>>().len(), "{namespace} {name}: {domains:?}");
    }
    for (name, listener) in world.seen(&scopes, ResourceType::Listener) {
        let listener = Listener::decode(listener.value()).unwrap();
        let matches: Vec<String> =
            listener.filter_chains.iter().map(|c| format!("{:?}", c.filter_chain_match)).collect();
        assert_eq!(matches.len(), matches.iter().collect::<BTreeSet<_>>().len(), "{namespace} {name}: {matches:?}");
    }
}
