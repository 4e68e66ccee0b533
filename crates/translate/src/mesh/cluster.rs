//! The Envoy cluster of a service's port.

use super::{Assignment, Definition, Service, Source, trust::is_rooted};
use crate::{
    engine::{Built, Relation, ServicePortKey, Unit, View},
    envoy,
    ir::{self, Address, Discovery, Endpoint, MeshTls},
    names,
};
use std::sync::Arc;
use tombolo_api::istio::Resolution;
use tombolo_proto::Resource;

/// The Envoy cluster of a service's port. It reads endpoints only where they are part of it: churn never touches another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cluster(pub ServicePortKey);

impl Unit for Cluster {
    type Output = Arc<Resource>;
    const RANK: u8 = 4;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let row = view.unit(&Service(self.0.host.clone()))?;
        let definition = row.of(&self.0.namespace)?;
        let port = definition.port(self.0.port)?;
        let cluster = ir::Cluster {
            name: names::cluster(&row.host, port.port),
            discovery: self.discovery(view, definition),
            protocol: port.protocol,
            client_affinity: definition.client_affinity,
            mesh_tls: (definition.proxied && is_rooted(view)).then(|| MeshTls {
                identities: names::identities(&row.host, port.port),
                server_name: names::server_name(&row.host, port.port),
            }),
        };
        Some(Built::from(Arc::new(envoy::cluster(&cluster))))
    }
}

impl Cluster {
    fn discovery(&self, view: &View<'_>, definition: &Definition) -> Discovery {
        match definition.source {
            Source::Entry(Resolution::None) => Discovery::Original,
            Source::Entry(Resolution::DynamicDns) => Discovery::Dynamic(self.0.port),
            Source::Entry(Resolution::Dns) => Discovery::Dns(self.endpoints(view)),
            Source::Entry(Resolution::DnsRoundRobin) => Discovery::DnsRoundRobin(self.endpoints(view)),
            Source::Entry(Resolution::Static) | Source::Kubernetes | Source::ExternalName => {
                match view.count(Relation::NamedEndpoints(self.0.clone())) {
                    0 => Discovery::Assigned,
                    _ => Discovery::Dns(self.endpoints(view)),
                }
            }
        }
    }

    /// What can be resolved: a cluster that resolves names has no Unix sockets.
    fn endpoints(&self, view: &View<'_>) -> Vec<Endpoint> {
        let endpoints = view.unit(&Assignment(self.0.clone())).map(|assigned| &*assigned.endpoints).unwrap_or_default();
        endpoints.iter().filter(|e| !matches!(e.address, Address::Pipe(_))).cloned().collect()
    }
}
