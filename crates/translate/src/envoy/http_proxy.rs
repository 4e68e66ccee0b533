//! The HTTP proxy for a workload's own calls, where none of its connections is captured.

use super::{
    any::socket_address,
    cluster::{base, dynamic, spoken},
    sidecar,
};
use crate::{ir::Protocol, names};
use std::net::IpAddr;
use tombolo_api::mesh::AccessLog;
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::envoy::config::{
        cluster::v3::{Cluster, cluster::LbPolicy},
        core::v3::TrafficDirection,
        listener::v3::{FilterChain, FilterChainMatch, Listener, filter_chain_match::ConnectionSourceType},
    },
};

/// Where a workload's own calls go: its address, and this port.
pub(crate) const HTTP_PROXY_PORT: u16 = 15001;

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
