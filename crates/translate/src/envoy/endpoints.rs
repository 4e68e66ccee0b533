//! Endpoints: `ClusterLoadAssignment`.

use super::ordered::{Metadata, Struct};
use crate::ir::{About, Address, Endpoint, Health, Locality};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_api::istio::MUTUAL_TLS;
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::{
        envoy::config::{
            core::v3::{self as core, HealthStatus, Pipe, SocketAddress, address, socket_address::PortSpecifier},
            endpoint::v3::{Endpoint as EnvoyEndpoint, cluster_load_assignment::Policy},
        },
        google::protobuf::UInt32Value,
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
        endpoint: Some(EnvoyEndpoint { address, ..EnvoyEndpoint::default() }),
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

/// What a proxy should know of an endpoint. `istio.workload` is Istio's form, `NAME;NAMESPACE;CANONICAL NAME;REVISION;CLUSTER`, so that
/// its telemetry reads it, and only there where the workload is known. The other says how the endpoint is spoken to: the
/// cluster's transport sockets are matched by it.
fn metadata(about: &About) -> Option<Metadata> {
    let mut filter_metadata = BTreeMap::new();
    if !about.workload.is_empty() {
        let workload = format!("{};{};;;", about.workload, about.namespace);
        filter_metadata.insert("istio".to_owned(), Struct::one("workload", workload));
    }
    if about.proxied {
        filter_metadata.insert("envoy.transport_socket_match".to_owned(), Struct::one(TLS_MODE, MUTUAL_TLS));
    }
    (!filter_metadata.is_empty()).then_some(Metadata { filter_metadata })
}

/// The key by which endpoints and transport sockets are matched.
pub(super) const TLS_MODE: &str = "tlsMode";

// === Envoy's messages, with maps in order: see `ordered` ===

/// `ClusterLoadAssignment`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ClusterLoadAssignment {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(message, repeated, tag = "2")]
    endpoints: Vec<LocalityLbEndpoints>,
    #[prost(message, optional, tag = "4")]
    policy: Option<Policy>,
}

/// `LocalityLbEndpoints`
#[derive(Clone, PartialEq, prost::Message)]
struct LocalityLbEndpoints {
    #[prost(message, optional, tag = "1")]
    locality: Option<core::Locality>,
    #[prost(message, repeated, tag = "2")]
    lb_endpoints: Vec<LbEndpoint>,
    #[prost(message, optional, tag = "3")]
    load_balancing_weight: Option<UInt32Value>,
    #[prost(uint32, tag = "5")]
    priority: u32,
}

/// `LbEndpoint`
#[derive(Clone, PartialEq, prost::Message)]
struct LbEndpoint {
    #[prost(message, optional, tag = "1")]
    endpoint: Option<EnvoyEndpoint>,
    #[prost(enumeration = "HealthStatus", tag = "2")]
    health_status: i32,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "4")]
    load_balancing_weight: Option<UInt32Value>,
}
