//! Resources that Envoy takes.

use prost::Message;
use std::sync::Arc;
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    agent::NameInfo,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
                },
                core::v3::{
                    Address, AggregatedConfigSource, ApiConfigSource, ApiVersion, ConfigSource, GrpcService,
                    SocketAddress, address, api_config_source, config_source, grpc_service, socket_address,
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

fn refs(kind: ResourceType, name: &str) -> Vec<Ref> {
    vec![Ref { kind, name: name.into() }]
}

fn ads() -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        resource_api_version: ApiVersion::V3.into(),
        ..Default::default()
    }
}

/// A cluster whose endpoints come over ADS.
pub(crate) fn cluster_message(name: &str, timeout_seconds: i64) -> Cluster {
    Cluster {
        name: name.into(),
        connect_timeout: Some(Duration { seconds: timeout_seconds, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(ads()), ..Default::default() }),
        ..Default::default()
    }
}

pub(crate) fn cluster(name: &str, timeout_seconds: i64) -> Resource {
    Resource::encode(
        ResourceType::Cluster,
        name,
        &cluster_message(name, timeout_seconds),
        refs(ResourceType::Endpoints, name),
    )
}

/// A cluster whose endpoints come from a server that is not there: it never gets warm.
pub(crate) fn cold_cluster(name: &str) -> Resource {
    let nowhere = GrpcService {
        target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(grpc_service::EnvoyGrpc {
            cluster_name: "nowhere".into(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let source = ConfigSource {
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::ApiConfigSource(ApiConfigSource {
            api_type: api_config_source::ApiType::Grpc.into(),
            transport_api_version: ApiVersion::V3.into(),
            grpc_services: vec![nowhere],
            ..Default::default()
        })),
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: Some(Duration::default()),
        ..Default::default()
    };
    let eds_cluster_config = Some(EdsClusterConfig { eds_config: Some(source), ..Default::default() });
    let message = Cluster { eds_cluster_config, ..cluster_message(name, 1) };
    Resource::encode(ResourceType::Cluster, name, &message, Vec::new())
}

/// A cluster that Envoy rejects, and names.
pub(crate) fn invalid_cluster(name: &str) -> Resource {
    let message = Cluster { connect_timeout: Some(Duration { seconds: -1, nanos: 0 }), ..cluster_message(name, 1) };
    Resource::encode(ResourceType::Cluster, name, &message, Vec::new())
}

/// Something that is no cluster at all: Envoy rejects the response, and names nothing.
pub(crate) fn garbage_cluster(name: &str) -> Resource {
    let part = Part::from_bytes(vec![0x0a, 0xff, 0xff].into(), Vec::new());
    Resource::assemble(ResourceType::Cluster, name, vec![Arc::new(part)])
}

fn address(port: u16) -> Option<Address> {
    let port_specifier = Some(socket_address::PortSpecifier::PortValue(port.into()));
    let socket = SocketAddress { address: "127.0.0.1".into(), port_specifier, ..Default::default() };
    Some(Address { address: Some(address::Address::SocketAddress(socket)) })
}

/// One endpoint on loopback.
pub(crate) fn endpoints(name: &str, port: u16) -> Resource {
    let endpoint = Endpoint { address: address(port), ..Default::default() };
    let lb_endpoint =
        LbEndpoint { host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![lb_endpoint], ..Default::default() };
    let message = ClusterLoadAssignment { cluster_name: name.into(), endpoints: vec![locality], ..Default::default() };
    Resource::encode(ResourceType::Endpoints, name, &message, Vec::new())
}

/// A route table that sends everything to one cluster.
pub(crate) fn routes(name: &str, cluster: &str) -> Resource {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let prefix =
        RouteMatch { path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())), ..Default::default() };
    let route = Route { r#match: Some(prefix), action: Some(route::Action::Route(action)), ..Default::default() };
    let host = VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    let message = RouteConfiguration { name: name.into(), virtual_hosts: vec![host], ..Default::default() };
    Resource::encode(ResourceType::Routes, name, &message, refs(ResourceType::Cluster, cluster))
}

fn any(url: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{url}"), value: message.encode_to_vec() }
}

/// A listener on a free port of loopback that serves a route table of its own name.
pub(crate) fn listener(name: &str) -> Resource {
    const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = HttpFilter {
        name: "router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(
            "envoy.extensions.filters.http.router.v3.Router",
            &Router::default(),
        ))),
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
    let message = Listener { name: name.into(), address: address(0), filter_chains: vec![chain], ..Default::default() };
    Resource::encode(ResourceType::Listener, name, &message, refs(ResourceType::Routes, name))
}

/// What a host resolves to.
pub(crate) fn name(host: &str, ip: &str) -> Resource {
    let info = NameInfo { ips: vec![ip.into()], registry: "External".into(), ..NameInfo::default() };
    Resource::encode(ResourceType::Name, host, &info, Vec::new())
}
