//! Endpoints: `ClusterLoadAssignment`.

use crate::ir::{About, Address, Endpoint, Health, Locality};
use std::sync::Arc;
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::{
        envoy::config::{
            core::v3::{
                self as core, HealthStatus, Metadata, Pipe, SocketAddress, address, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint as EnvoyEndpoint, LbEndpoint, LocalityLbEndpoints,
                cluster_load_assignment::Policy, lb_endpoint::HostIdentifier,
            },
        },
        google::protobuf::{Struct, UInt32Value, Value, value::Kind},
    },
};

/// Percent. A priority takes everything while one in a hundred of its endpoints is healthy: what is far is used when nothing
/// near is there, not when a part of it is. Envoy's default, 140, would spill from 71 % on.
const OVERPROVISIONING: u32 = 10_000;

/// The EDS resource of a cluster.
pub(crate) fn assignment(name: Arc<str>, endpoints: &[Endpoint]) -> Resource {
    let message = load_assignment(&name, endpoints);
    Resource::encode(ResourceType::Endpoints, name, &message, Vec::<Ref>::new())
}

/// Endpoints that are ordered, as a message.
pub(crate) fn load_assignment(name: &str, endpoints: &[Endpoint]) -> ClusterLoadAssignment {
    let together = |a: &Endpoint, b: &Endpoint| (a.priority, &a.locality) == (b.priority, &b.locality);
    let prioritized = endpoints.iter().any(|endpoint| endpoint.priority > 0);
    let policy = Policy { overprovisioning_factor: Some(UInt32Value { value: OVERPROVISIONING }), ..Policy::default() };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: endpoints.chunk_by(together).map(locality_endpoints).collect(),
        policy: prioritized.then_some(policy),
        ..ClusterLoadAssignment::default()
    }
}

fn locality_endpoints(endpoints: &[Endpoint]) -> LocalityLbEndpoints {
    let first = endpoints.first();
    LocalityLbEndpoints {
        locality: first.and_then(|endpoint| locality(&endpoint.locality)),
        priority: first.map_or(0, |endpoint| endpoint.priority),
        lb_endpoints: endpoints.iter().map(lb_endpoint).collect(),
        load_balancing_weight: Some(UInt32Value {
            value: endpoints.iter().fold(0, |sum: u32, endpoint| sum.saturating_add(endpoint.weight)),
        }),
        ..LocalityLbEndpoints::default()
    }
}

fn locality(locality: &Locality) -> Option<core::Locality> {
    (*locality != Locality::default()).then(|| core::Locality {
        region: locality.region.to_string(),
        zone: locality.zone.to_string(),
        sub_zone: locality.subzone.to_string(),
    })
}

fn lb_endpoint(endpoint: &Endpoint) -> LbEndpoint {
    let health = match endpoint.health {
        Health::Healthy => HealthStatus::Unknown, // Envoy's default: used
        Health::Draining => HealthStatus::Draining,
        Health::Unhealthy => HealthStatus::Unhealthy,
    };
    let address = Some(socket(&endpoint.address));
    LbEndpoint {
        health_status: health.into(),
        metadata: metadata(&endpoint.about),
        load_balancing_weight: (endpoint.weight != 1).then_some(UInt32Value { value: endpoint.weight }),
        host_identifier: Some(HostIdentifier::Endpoint(EnvoyEndpoint { address, ..EnvoyEndpoint::default() })),
    }
}

fn socket(address: &Address) -> core::Address {
    let (host, port) = match address {
        Address::Ip(ip, port) => (ip.to_string(), *port),
        Address::Name(name, port) => (name.to_string(), *port),
        Address::Pipe(path) => {
            let pipe = Pipe { path: path.to_string(), mode: 0 };
            return core::Address { address: Some(address::Address::Pipe(pipe)) };
        }
    };
    let port = PortSpecifier::PortValue(port.get().into());
    let socket = SocketAddress { address: host, port_specifier: Some(port), ..SocketAddress::default() };
    core::Address { address: Some(address::Address::SocketAddress(socket)) }
}

/// Istio's form, so that its telemetry reads it: `istio.workload` is `NAME;NAMESPACE;CANONICAL NAME;REVISION;CLUSTER`. Only for
/// endpoints of which more is known than that they are there. One key a map: maps have no order on the wire.
fn metadata(about: &About) -> Option<Metadata> {
    if about.workload.is_empty() {
        return None;
    }
    let workload = format!("{};{};;;", about.workload, about.namespace);
    let fields = [("workload".to_owned(), Value { kind: Some(Kind::StringValue(workload)) })].into();
    Some(Metadata { filter_metadata: [("istio".to_owned(), Struct { fields })].into(), ..Metadata::default() })
}
