//! What sidecars have besides the services: the listener that everything arrives at, and where the unknown goes.

use super::{
    any::any,
    cluster::{base, explicit_options, http_options},
    hcm,
    http_proxy::HTTP_PROXY_PORT,
    tcp::{look_up_server_name, tcp_proxy},
};
use crate::{
    ir::{Outbound, OutboundMatch, OutboundTarget},
    names,
};
use std::net::{IpAddr, Ipv4Addr};
use tombolo_api::mesh::{AccessLog, OutboundTraffic};
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
                },
                core::v3::{
                    Address, CidrRange, Http1ProtocolOptions, Http2ProtocolOptions, SocketAddress, TrafficDirection,
                    address, socket_address::PortSpecifier,
                },
                listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter},
                route::v3::{
                    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
                    route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
                },
            },
            extensions::{
                filters::{
                    listener::{original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
                    network::http_connection_manager::v3::HttpConnectionManager,
                },
                upstreams::http::v3::http_protocol_options::{UpstreamProtocolOptions, UseDownstreamHttpConfig},
            },
        },
        google::protobuf::{BoolValue, Duration, UInt32Value},
    },
};

/// Where a workload's outgoing connections are redirected to.
const OUTBOUND_PORT: u32 = HTTP_PROXY_PORT as u32;

/// The listener that all outgoing connections are redirected to. It hands each to the listener of the address that it was
/// for; what has none goes where it was going, or nowhere.
pub(crate) fn virtual_outbound(traffic: OutboundTraffic) -> Resource {
    let loops = FilterChain {
        name: "virtualOutbound-blackhole".to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(UInt32Value { value: OUTBOUND_PORT }),
            ..FilterChainMatch::default()
        }),
        filters: vec![tcp_proxy(names::BLACK_HOLE, false)],
        ..FilterChain::default()
    };
    let others = FilterChain {
        name: "virtualOutbound-catchall-tcp".to_owned(),
        filters: vec![tcp_proxy(unknown(traffic), false)],
        ..FilterChain::default()
    };
    let listener = Listener {
        name: names::VIRTUAL_OUTBOUND.to_owned(),
        address: Some(socket(IpAddr::V4(Ipv4Addr::UNSPECIFIED), OUTBOUND_PORT)),
        use_original_dst: Some(BoolValue { value: true }),
        listener_filters: vec![listener_filter("envoy.filters.listener.original_dst", any(&OriginalDst::default()))],
        filter_chains: vec![loops],
        default_filter_chain: Some(others),
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Listener::default()
    };
    let refs = [names::BLACK_HOLE, names::PASSTHROUGH].map(|name| reference(ResourceType::Cluster, name));
    Resource::encode(ResourceType::Listener, names::VIRTUAL_OUTBOUND, &listener, refs)
}

/// The cluster of what goes where it was going.
pub(crate) fn passthrough() -> Resource {
    let same = UseDownstreamHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        http2_protocol_options: Some(Http2ProtocolOptions::default()),
        ..UseDownstreamHttpConfig::default()
    };
    let cluster = Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        typed_extension_protocol_options: http_options(&explicit_options(
            UpstreamProtocolOptions::UseDownstreamProtocolConfig(same),
        )),
        ..base(names::PASSTHROUGH)
    };
    Resource::encode(ResourceType::Cluster, names::PASSTHROUGH, &cluster, Vec::<Ref>::new())
}

/// The cluster of what goes nowhere.
pub(crate) fn black_hole() -> Resource {
    let cluster = Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        ..base(names::BLACK_HOLE)
    };
    Resource::encode(ResourceType::Cluster, names::BLACK_HOLE, &cluster, Vec::<Ref>::new())
}

/// The cluster of what the mesh does not know.
pub(crate) fn unknown(traffic: OutboundTraffic) -> &'static str {
    match traffic {
        OutboundTraffic::AllowAny => names::PASSTHROUGH,
        OutboundTraffic::RegistryOnly => names::BLACK_HOLE,
    }
}

/// The virtual host of a sidecar's route table for the hosts that the mesh does not know.
pub(crate) fn catch_all(traffic: OutboundTraffic) -> Part {
    let (host, refs) = unknown_hosts(traffic, names::PASSTHROUGH);
    Part::of(&RouteConfiguration { virtual_hosts: vec![host], ..RouteConfiguration::default() }, refs)
}

/// What becomes of requests for hosts that the mesh does not know, named as Istio's. `passthrough` is their cluster where they
/// are allowed.
pub(super) fn unknown_hosts(traffic: OutboundTraffic, passthrough: &str) -> (VirtualHost, Vec<Ref>) {
    let (name, action, refs) = match traffic {
        OutboundTraffic::AllowAny => {
            let action = RouteAction {
                cluster_specifier: Some(ClusterSpecifier::Cluster(passthrough.to_owned())),
                timeout: Some(Duration::default()),
                ..RouteAction::default()
            };
            let refs = vec![reference(ResourceType::Cluster, passthrough)];
            ("allow_any", Action::Route(action), refs)
        }
        OutboundTraffic::RegistryOnly => {
            let action = DirectResponseAction { status: 502, ..DirectResponseAction::default() };
            ("block_all", Action::DirectResponse(action), Vec::new())
        }
    };
    let everything =
        RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() };
    let route = Route { name: name.to_owned(), r#match: Some(everything), action: Some(action), ..Route::default() };
    let host = VirtualHost {
        name: name.to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..VirtualHost::default()
    };
    (host, refs)
}

/// The listener of an address and a port. It binds nothing: connections come from the one that they are redirected to.
pub(crate) fn outbound(ir: &Outbound, access_log: Option<&AccessLog>) -> Resource {
    let any_address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = ir.address.unwrap_or(any_address);
    let name = names::listener(&address.to_string(), ir.port);
    let by_name = ir.chains.iter().any(|chain| matches!(chain.matches, OutboundMatch::ServerName(_)));
    let inspector = || listener_filter("envoy.filters.listener.tls_inspector", any(&TlsInspector::default()));
    let listener = Listener {
        name: name.clone(),
        address: Some(socket(address, ir.port.get().into())),
        bind_to_port: Some(BoolValue { value: false }),
        listener_filters: by_name.then(inspector).into_iter().collect(),
        // A server that speaks first has a client that says nothing to inspect.
        continue_on_listener_filters_timeout: by_name,
        filter_chains: ir
            .chains
            .iter()
            .map(|chain| FilterChain {
                filter_chain_match: Some(chain_match(&chain.matches)),
                ..filter_chain(&chain.target, access_log)
            })
            .collect(),
        default_filter_chain: Some(filter_chain(&ir.otherwise, access_log)),
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Listener::default()
    };
    let targets = ir.chains.iter().map(|chain| &chain.target).chain([&ir.otherwise]);
    let mut refs: Vec<Ref> = targets
        .map(|target| match target {
            OutboundTarget::Table(name) => reference(ResourceType::Routes, name),
            OutboundTarget::Cluster { name, .. } | OutboundTarget::Dynamic { name, .. } => {
                reference(ResourceType::Cluster, name)
            }
        })
        .collect();
    refs.sort_unstable();
    refs.dedup();
    Resource::encode(ResourceType::Listener, name, &listener, refs)
}

fn chain_match(matches: &OutboundMatch) -> FilterChainMatch {
    match matches {
        OutboundMatch::ServerName(host) => {
            FilterChainMatch { server_names: vec![host.to_string()], ..FilterChainMatch::default() }
        }
        OutboundMatch::Network(address, bits) => {
            let range = CidrRange {
                address_prefix: address.to_string(),
                prefix_len: Some(UInt32Value { value: u32::from(*bits) }),
            };
            FilterChainMatch { prefix_ranges: vec![range], ..FilterChainMatch::default() }
        }
    }
}

fn filter_chain(target: &OutboundTarget, access_log: Option<&AccessLog>) -> FilterChain {
    let (name, filters) = match target {
        OutboundTarget::Table(table) => (table, vec![http(table, access_log)]),
        OutboundTarget::Cluster { name, client_affinity } => (name, vec![tcp_proxy(name, *client_affinity)]),
        OutboundTarget::Dynamic { name, port } => (name, vec![look_up_server_name(*port), tcp_proxy(name, false)]),
    };
    FilterChain { name: name.clone(), filters, ..FilterChain::default() }
}

pub(super) fn http(table: &str, access_log: Option<&AccessLog>) -> Filter {
    hcm::filter(&HttpConnectionManager {
        // The caller is the own workload: what it says of whom it speaks for is passed on.
        use_remote_address: Some(BoolValue { value: false }),
        normalize_path: Some(BoolValue { value: true }),
        stream_idle_timeout: Some(Duration::default()),
        ..hcm::connection_manager(&format!("outbound_0.0.0.0_{table}"), table, access_log)
    })
}

fn listener_filter(name: &str, config: tombolo_proto::envoy::google::protobuf::Any) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    }
}

fn socket(ip: IpAddr, port: u32) -> Address {
    let socket = SocketAddress {
        address: ip.to_string(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn reference(kind: ResourceType, name: &str) -> Ref {
    Ref { kind, name: name.into() }
}
