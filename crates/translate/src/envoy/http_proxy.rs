//! The HTTP proxy for a workload's own calls, where none of its connections is captured.

use super::{
    any::socket_address,
    cluster::{base, dynamic, spoken},
    sidecar,
};
use crate::{ir::Protocol, names};
use std::net::IpAddr;
use tombolo_api::mesh::{AccessLog, OutboundTraffic};
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    envoy::envoy::{
        config::{
            cluster::v3::{Cluster, cluster::LbPolicy},
            core::v3::{HeaderValue, HeaderValueOption, TrafficDirection, header_value_option::HeaderAppendAction},
            listener::v3::{FilterChain, FilterChainMatch, Listener, filter_chain_match::ConnectionSourceType},
            route::v3::{
                DirectResponseAction, HeaderMatcher, Route, RouteConfiguration, RouteMatch,
                header_matcher::HeaderMatchSpecifier, route::Action, route_match::PathSpecifier,
            },
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
};

/// Where a workload's own calls go: its address, and this port.
pub(crate) const HTTP_PROXY_PORT: u16 = 15001;

/// What HTTP proxies call themselves in `Via` (RFC 9110, section 7.6.3).
const PSEUDONYM: &str = "tombolo-http-proxy";

/// The listener: an HTTP proxy (`HTTP_PROXY`), for requests with a whole URL as for those with a `Host` alone.
///
/// It calls in the workload's name, so it listens to this machine alone: connections from elsewhere are closed.
pub(crate) fn http_proxy(address: IpAddr, access_log: Option<&AccessLog>) -> Resource {
    let name = format!("{address}_{HTTP_PROXY_PORT}");
    let chain = FilterChain {
        name: names::HTTP_PROXY.to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            source_type: ConnectionSourceType::SameIpOrLoopback.into(),
            ..Default::default()
        }),
        filters: vec![sidecar::http(names::HTTP_PROXY, access_log)],
        ..Default::default()
    };
    let listener = Listener {
        name: name.clone(),
        address: Some(socket_address(address, HTTP_PROXY_PORT)),
        filter_chains: vec![chain],
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Default::default()
    };
    let refs = vec![Ref { kind: ResourceType::Routes, name: names::HTTP_PROXY.into() }];
    Resource::encode(ResourceType::Listener, name, &listener, refs)
}

/// The virtual host for hosts that the mesh does not know. The connection was made to the proxy: where the request is going, it
/// alone says. That may be the proxy itself, under any name: a request that comes back is turned away, or it would go round
/// until there are no connections left.
pub(crate) fn http_proxy_catch_all(traffic: OutboundTraffic) -> Part {
    let (mut host, refs) = sidecar::unknown_hosts(traffic, names::HTTP_PROXY_UNKNOWN);
    let via = HeaderValue { key: "via".to_owned(), value: format!("1.1 {PSEUDONYM}"), ..Default::default() };
    host.request_headers_to_add = vec![HeaderValueOption {
        header: Some(via),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd.into(),
        ..Default::default()
    }];
    host.routes.insert(0, looped());
    Part::of(&RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }, refs)
}

/// 508: the proxy has seen the request before.
fn looped() -> Route {
    let ours =
        StringMatcher { match_pattern: Some(MatchPattern::Contains(PSEUDONYM.to_owned())), ..Default::default() };
    let seen = HeaderMatcher {
        name: "via".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(ours)),
        ..Default::default()
    };
    Route {
        name: "loop".to_owned(),
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            headers: vec![seen],
            ..Default::default()
        }),
        action: Some(Action::DirectResponse(DirectResponseAction { status: 508, ..Default::default() })),
        ..Default::default()
    }
}

/// The cluster of requests for hosts that the mesh does not know: each is looked up by the name that it carries, at port 80
/// where it names none.
pub(crate) fn http_proxy_unknown() -> Resource {
    let cluster = Cluster {
        cluster_discovery_type: Some(dynamic()),
        lb_policy: LbPolicy::ClusterProvided.into(),
        typed_extension_protocol_options: spoken(Protocol::Http, true),
        ..base(names::HTTP_PROXY_UNKNOWN)
    };
    Resource::encode(ResourceType::Cluster, names::HTTP_PROXY_UNKNOWN, &cluster, Vec::<Ref>::new())
}
