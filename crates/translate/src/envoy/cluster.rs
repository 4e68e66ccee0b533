//! Clusters: how a service's port is reached.

use super::{
    any::{ads, any},
    endpoints::{ClusterLoadAssignment, load_assignment},
    hcm, mesh_tls,
};
use crate::ir::{self, Discovery, Endpoint, Protocol};
use prost::Name;
use std::{collections::HashMap, sync::Arc};
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    CircuitBreakers, Cluster, UpstreamConnectionOptions,
                    circuit_breakers::Thresholds,
                    cluster::{
                        ClusterDiscoveryType, CommonLbConfig, CustomClusterType, DiscoveryType, EdsClusterConfig,
                        LbPolicy,
                    },
                },
                core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, TcpKeepalive, UpstreamHttpProtocolOptions},
            },
            extensions::{
                clusters::{
                    common::dns::v3::DnsLookupFamily,
                    dns::v3::DnsCluster,
                    dynamic_forward_proxy::v3::{ClusterConfig, cluster_config::ClusterImplementationSpecifier},
                },
                upstreams::http::v3::{
                    HttpProtocolOptions,
                    http_protocol_options::{
                        ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
                    },
                },
            },
            r#type::v3::Percent,
        },
        google::protobuf::{Any, Duration, UInt32Value},
    },
};

/// Seconds.
const CONNECT_TIMEOUT: i64 = 10;
/// Bytes that a connection may hold before reading stops. Envoy's default, 1 MiB, is much for thousands of connections.
const BUFFER_LIMIT: u32 = 32 * 1024;

/// The CDS resource of a service's port.
pub(crate) fn cluster(ir: &ir::Cluster) -> Resource {
    let mut cluster = Cluster { lb_policy: lb_policy(ir).into(), ..base(&ir.name) };
    let (mut refs, mut inline) = (Vec::new(), None);
    match &ir.discovery {
        Discovery::Assigned => {
            cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into()));
            cluster.eds_cluster_config =
                Some(EdsClusterConfig { eds_config: Some(ads()), ..EdsClusterConfig::default() });
            refs.push(Ref { kind: ResourceType::Endpoints, name: ir.name.as_str().into() });
        }
        Discovery::Dns(endpoints) => inline = Some(resolve(&mut cluster, endpoints, false)),
        Discovery::DnsRoundRobin(endpoints) => inline = Some(resolve(&mut cluster, endpoints, true)),
        Discovery::Original => {
            cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into()));
        }
        Discovery::Dynamic(port) => {
            cluster.cluster_discovery_type = Some(dynamic());
            cluster.metadata = Some(hcm::dynamic_port_metadata(*port));
        }
    }
    cluster.typed_extension_protocol_options = protocol_options(ir);
    if let Some(tls) = &ir.mesh_tls {
        cluster.transport_socket_matches = mesh_tls::upstream(tls, ir.protocol);
        refs.push(Ref { kind: ResourceType::Secret, name: tls.identities.as_str().into() });
    }
    let parts: Vec<Arc<Part>> =
        [Part::of(&cluster, refs)].into_iter().chain(inline.map(inlined)).map(Arc::new).collect();
    Resource::assemble(ResourceType::Cluster, ir.name.as_str(), parts)
}

/// `Cluster.load_assignment`, in the order of its own message.
#[derive(Clone, PartialEq, prost::Message)]
struct Inline {
    #[prost(message, optional, tag = "33")]
    load_assignment: Option<ClusterLoadAssignment>,
}

/// A cluster's own endpoints, as a field of it.
pub(super) fn inlined(endpoints: ClusterLoadAssignment) -> Part {
    Part::of(&Inline { load_assignment: Some(endpoints) }, Vec::<Ref>::new())
}

/// What every cluster has.
pub(super) fn base(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Duration { seconds: CONNECT_TIMEOUT, nanos: 0 }),
        per_connection_buffer_limit_bytes: Some(UInt32Value { value: BUFFER_LIMIT }),
        circuit_breakers: Some(unlimited()),
        // Sending to endpoints that are known not to serve helps nobody.
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: 0.0 }),
            ..CommonLbConfig::default()
        }),
        upstream_connection_options: Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(TcpKeepalive::default()), // on, with the system's times
            ..UpstreamConnectionOptions::default()
        }),
        ..Cluster::default()
    }
}

/// Limits protect a service whose owner sets them; Envoy's own, 1024, would cut off one that is merely busy.
fn unlimited() -> CircuitBreakers {
    let limit = Some(UInt32Value { value: u32::MAX });
    let thresholds = Thresholds {
        max_connections: limit,
        max_pending_requests: limit,
        max_requests: limit,
        max_retries: limit,
        track_remaining: true,
        ..Thresholds::default()
    };
    CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() }
}

fn lb_policy(ir: &ir::Cluster) -> LbPolicy {
    match ir.discovery {
        Discovery::Original | Discovery::Dynamic(_) => LbPolicy::ClusterProvided,
        // Hashes what the route says: the client's address.
        _ if ir.client_affinity => LbPolicy::Maglev,
        _ => LbPolicy::LeastRequest,
    }
}

/// Endpoints by name. `one_at_a_time`: each new connection goes to the first address, and old connections stay when it
/// changes; Envoy has that for a single name only.
fn resolve(cluster: &mut Cluster, endpoints: &[Endpoint], one_at_a_time: bool) -> ClusterLoadAssignment {
    let config = DnsCluster {
        respect_dns_ttl: true,
        // IPv6 where there is nothing else: many a name has an address that many a machine cannot reach.
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        all_addresses_in_single_endpoint: one_at_a_time && endpoints.len() == 1,
        ..DnsCluster::default()
    };
    cluster.cluster_discovery_type = Some(custom("envoy.cluster.dns", &config));
    load_assignment(&cluster.name, endpoints)
}

pub(super) fn dynamic() -> ClusterDiscoveryType {
    let cache = ClusterImplementationSpecifier::DnsCacheConfig(hcm::dns_cache());
    let config = ClusterConfig { cluster_implementation_specifier: Some(cache), ..ClusterConfig::default() };
    custom("envoy.clusters.dynamic_forward_proxy", &config)
}

fn custom<M: Name>(name: &str, config: &M) -> ClusterDiscoveryType {
    ClusterDiscoveryType::ClusterType(CustomClusterType { name: name.to_owned(), typed_config: Some(any(config)) })
}

/// What is spoken to endpoints, as one option: maps have no order on the wire, and one entry has no need of one.
fn protocol_options(ir: &ir::Cluster) -> HashMap<String, Any> {
    spoken(ir.protocol, matches!(ir.discovery, Discovery::Dynamic(_)))
}

/// `dynamic`: whether hosts are found by the names that requests carry.
pub(super) fn spoken(protocol: Protocol, dynamic: bool) -> HashMap<String, Any> {
    let explicit = match protocol {
        Protocol::Http => ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()),
        Protocol::Http2 => ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default()),
        Protocol::Tls | Protocol::Tcp => return HashMap::new(),
    };
    let explicit = ExplicitHttpConfig { protocol_config: Some(explicit) };
    let mut options = explicit_options(UpstreamProtocolOptions::ExplicitHttpConfig(explicit));
    if dynamic {
        // Envoy insists, so that no one forgets it who adds TLS: the name that a request carries is the one to verify.
        options.upstream_http_protocol_options =
            Some(UpstreamHttpProtocolOptions { auto_sni: true, auto_san_validation: true, ..Default::default() });
    }
    http_options(&options)
}

pub(super) fn explicit_options(upstream: UpstreamProtocolOptions) -> HttpProtocolOptions {
    HttpProtocolOptions { upstream_protocol_options: Some(upstream), ..HttpProtocolOptions::default() }
}

pub(super) fn http_options(options: &HttpProtocolOptions) -> HashMap<String, Any> {
    [("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), any(options))].into()
}
