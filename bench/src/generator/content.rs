//! What a load client must know of a resource's content to act as Envoy does. Each distinct content is decoded once, whoever
//! receives it.

use crate::sequence::Sequence;
use prost::{DecodeError, Message};
use std::net::{IpAddr, SocketAddr};
use tombolo_proto::{
    ResourceType,
    envoy::envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::{SocketAddress, address::Address, socket_address::PortSpecifier},
            endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint::HostIdentifier},
            listener::v3::{Filter, Listener, filter::ConfigType},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
    },
};

/// What was found in one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Names that Envoy asks for next: a cluster's assignment, a listener's route tables.
    pub(super) names: Vec<String>,
    /// Where an assignment's endpoints are, in order.
    pub(super) endpoints: Vec<SocketAddr>,
    /// The edit that an assignment comes from.
    pub(super) sequence: Option<Sequence>,
}

/// The type whose resources another type's resources name.
pub(super) fn named_by(kind: ResourceType) -> Option<ResourceType> {
    match kind {
        ResourceType::Cluster => Some(ResourceType::Endpoints),
        ResourceType::Listener => Some(ResourceType::Routes),
        ResourceType::Endpoints
        | ResourceType::Secret
        | ResourceType::Routes
        | ResourceType::Name
        | ResourceType::NameTable => None,
    }
}

/// Decodes a resource of a type.
pub(super) fn facts(kind: ResourceType, value: &[u8]) -> Result<Facts, DecodeError> {
    Ok(match kind {
        ResourceType::Cluster => Facts { names: assignment(Cluster::decode(value)?), ..Facts::default() },
        ResourceType::Listener => Facts { names: route_tables(Listener::decode(value)?)?, ..Facts::default() },
        ResourceType::Endpoints => {
            let endpoints = endpoints(ClusterLoadAssignment::decode(value)?);
            Facts { endpoints, sequence: Sequence::find(value), ..Facts::default() }
        }
        ResourceType::Secret | ResourceType::Routes | ResourceType::Name | ResourceType::NameTable => Facts::default(),
    })
}

/// The assignment that a cluster gets by EDS: under its service name, or its own where it has none.
fn assignment(cluster: Cluster) -> Vec<String> {
    if cluster.cluster_discovery_type != Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())) {
        return Vec::new();
    }
    let service = cluster.eds_cluster_config.map(|eds| eds.service_name).filter(|name| !name.is_empty());
    vec![service.unwrap_or(cluster.name)]
}

/// The route tables that a listener gets by RDS, each once.
fn route_tables(listener: Listener) -> Result<Vec<String>, DecodeError> {
    let chains = listener.filter_chains.into_iter().chain(listener.default_filter_chain);
    let mut names = Vec::new();
    for filter in chains.flat_map(|chain| chain.filters) {
        names.extend(route_table(filter)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn route_table(filter: Filter) -> Result<Option<String>, DecodeError> {
    let Some(ConfigType::TypedConfig(config)) = filter.config_type else { return Ok(None) };
    if !config.type_url.ends_with(".HttpConnectionManager") {
        return Ok(None);
    }
    Ok(match HttpConnectionManager::decode(&*config.value)?.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => Some(rds.route_config_name),
        _ => None,
    })
}

fn endpoints(assignment: ClusterLoadAssignment) -> Vec<SocketAddr> {
    let all = assignment.endpoints.into_iter().flat_map(|locality| locality.lb_endpoints);
    all.filter_map(endpoint).collect()
}

fn endpoint(endpoint: LbEndpoint) -> Option<SocketAddr> {
    let Some(HostIdentifier::Endpoint(endpoint)) = endpoint.host_identifier else { return None };
    let Some(Address::SocketAddress(SocketAddress { address, port_specifier, .. })) = endpoint.address?.address else {
        return None;
    };
    let Some(PortSpecifier::PortValue(port)) = port_specifier else { return None };
    Some((address.parse::<IpAddr>().ok()?, u16::try_from(port).ok()?).into())
}
