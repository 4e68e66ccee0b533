//! Resources that Envoy takes, and some that it does not.

use prost::Message;
use tombolo_proto::{
    ResourceType,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
                },
                core::v3::{
                    Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, address, config_source,
                    socket_address,
                },
                endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint},
                listener::v3::{Filter, FilterChain, Listener, filter},
                route::v3::{
                    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action, route_match,
                },
            },
            extensions::filters::{
                http::router::v3::Router,
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
                },
            },
        },
        google::protobuf::{Any, Duration},
    },
};

/// A resource by type and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its type's URL.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The encoded message.
    pub value: Vec<u8>,
}

fn resource(kind: ResourceType, name: &str, message: &impl Message) -> Resource {
    Resource { kind: kind.url(), name: name.to_owned(), value: message.encode_to_vec() }
}

fn ads() -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        resource_api_version: ApiVersion::V3.into(),
        ..Default::default()
    }
}

/// A cluster whose endpoints come over ADS. A negative timeout is one that Envoy rejects.
pub fn cluster(name: &str, timeout_seconds: i64) -> Resource {
    let message = Cluster {
        name: name.into(),
        connect_timeout: Some(Duration { seconds: timeout_seconds, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(ads()), ..Default::default() }),
        ..Default::default()
    };
    resource(ResourceType::Cluster, name, &message)
}

fn address(port: u16) -> Option<Address> {
    let port_specifier = Some(socket_address::PortSpecifier::PortValue(port.into()));
    let socket = SocketAddress { address: "127.0.0.1".into(), port_specifier, ..Default::default() };
    Some(Address { address: Some(address::Address::SocketAddress(socket)) })
}

/// One endpoint on loopback.
pub fn endpoints(name: &str, port: u16) -> Resource {
    let endpoint = Endpoint { address: address(port), ..Default::default() };
    let lb_endpoint =
        LbEndpoint { host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![lb_endpoint], ..Default::default() };
    let message = ClusterLoadAssignment { cluster_name: name.into(), endpoints: vec![locality], ..Default::default() };
    resource(ResourceType::Endpoints, name, &message)
}

/// A route table that sends everything to one cluster.
pub fn routes(name: &str, cluster: &str) -> Resource {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let prefix =
        RouteMatch { path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())), ..Default::default() };
    let route = Route { r#match: Some(prefix), action: Some(route::Action::Route(action)), ..Default::default() };
    let host = VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    let message = RouteConfiguration { name: name.into(), virtual_hosts: vec![host], ..Default::default() };
    resource(ResourceType::Routes, name, &message)
}

fn any(url: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{url}"), value: message.encode_to_vec() }
}

/// A listener on a port of loopback that serves a route table of its own name.
pub fn listener(name: &str, port: u16) -> Resource {
    const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = any("envoy.extensions.filters.http.router.v3.Router", &Router::default());
    let router = HttpFilter {
        name: "router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(router)),
        ..Default::default()
    };
    let rds = Rds { config_source: Some(ads()), route_config_name: name.into() };
    let manager = HttpConnectionManager {
        stat_prefix: name.into(),
        http_filters: vec![router],
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(rds)),
        ..Default::default()
    };
    let filter = Filter { name: "http".into(), config_type: Some(filter::ConfigType::TypedConfig(any(HCM, &manager))) };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    let message =
        Listener { name: name.into(), address: address(port), filter_chains: vec![chain], ..Default::default() };
    resource(ResourceType::Listener, name, &message)
}
