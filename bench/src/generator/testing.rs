//! Resources for tests, as Envoy has them.

use prost::Message as _;
use std::net::Ipv4Addr;
use tombolo_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::{Address, SocketAddress, address, socket_address::PortSpecifier},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
        },
    },
    google::protobuf::Any,
};

pub(crate) fn cluster(name: &str, alt_stat_name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        alt_stat_name: alt_stat_name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        ..Default::default()
    }
}

pub(crate) fn assignment(name: &str, addresses: &[Ipv4Addr]) -> ClusterLoadAssignment {
    let endpoint = |ip: &Ipv4Addr| {
        let socket = SocketAddress {
            address: ip.to_string(),
            port_specifier: Some(PortSpecifier::PortValue(8080)),
            ..Default::default()
        };
        let address = Some(Address { address: Some(address::Address::SocketAddress(socket)) });
        let host = HostIdentifier::Endpoint(Endpoint { address, ..Default::default() });
        LbEndpoint { host_identifier: Some(host), ..Default::default() }
    };
    let locality = LocalityLbEndpoints { lb_endpoints: addresses.iter().map(endpoint).collect(), ..Default::default() };
    ClusterLoadAssignment { cluster_name: name.into(), endpoints: vec![locality], ..Default::default() }
}

pub(crate) fn listener(name: &str, route_tables: &[&str]) -> Listener {
    let chain = |table: &&str| {
        let rds = Rds { route_config_name: (*table).into(), ..Default::default() };
        let manager = HttpConnectionManager { route_specifier: Some(RouteSpecifier::Rds(rds)), ..Default::default() };
        let config = Any {
            type_url:
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
                    .into(),
            value: manager.encode_to_vec(),
        };
        let filter = Filter { config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() };
        FilterChain { filters: vec![filter], ..Default::default() }
    };
    Listener { name: name.into(), filter_chains: route_tables.iter().map(chain).collect(), ..Default::default() }
}
