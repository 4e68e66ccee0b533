//! What listens for a workload: a listener and a cluster for each of its ports.

use super::{
    any::{any, boolean, seconds, socket_address},
    cluster::{base, inlined, spoken},
    endpoints::load_assignment,
    hcm,
    mesh_tls::{MESH_ALPN, downstream},
    tcp::tcp_proxy,
};
use crate::{
    ir::{About, Address, Endpoint, Health, Inbound, Locality},
    names,
};
use std::{net::Ipv4Addr, sync::Arc};
use tombolo_api::mesh::AccessLog;
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    envoy::envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::TrafficDirection,
            listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter},
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
                route_action::ClusterSpecifier, route_match::PathSpecifier,
            },
        },
        extensions::filters::{
            listener::tls_inspector::v3::TlsInspector,
            network::http_connection_manager::v3::{
                HttpConnectionManager,
                http_connection_manager::{
                    ForwardClientCertDetails, RouteSpecifier, ServerHeaderTransformation, SetCurrentClientCertDetails,
                },
            },
        },
    },
};

/// How long a caller may say nothing, in seconds, where it may be one that waits for the server to speak first: then it is
/// taken not to speak TLS.
const SILENCE: u64 = 2;

/// The cluster of the application behind a port: this machine's own.
pub(crate) fn inbound_cluster(ir: &Inbound) -> Resource {
    let name = names::inbound_cluster(ir.port);
    let application = Endpoint {
        priority: 0,
        locality: Locality::default(),
        address: Address::Ip(Ipv4Addr::LOCALHOST.into(), ir.port),
        weight: 1,
        health: Health::Healthy,
        about: About::default(),
    };
    let cluster = Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        typed_extension_protocol_options: spoken(ir.protocol, false),
        ..base(&name)
    };
    let parts = [Part::of(&cluster, Vec::<Ref>::new()), inlined(load_assignment(&name, &[application]))];
    Resource::assemble(ResourceType::Cluster, name, parts.map(Arc::new))
}

/// The listener at the workload's address.
///
/// The mesh's mutual TLS is known by what it proposes. Where others are let in, so are plaintext, and TLS that the application
/// itself ends: it passes as bytes.
pub(crate) fn inbound_listener(ir: &Inbound, access_log: Option<&AccessLog>) -> Resource {
    let name = names::listener(&ir.address.to_string(), ir.port);
    let http = ir.protocol.is_http();
    let mutual = (!ir.trust_domains.is_empty()).then(|| mutual(ir, access_log));
    let plain_http = (ir.others && http).then(|| FilterChain {
        name: "plaintext".to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: "raw_buffer".to_owned(),
            ..Default::default()
        }),
        filters: vec![application(ir, access_log)],
        ..Default::default()
    });
    let bytes = ir.others.then(|| FilterChain {
        name: "bytes".to_owned(),
        filters: vec![tcp_proxy(&names::inbound_cluster(ir.port), false)],
        ..Default::default()
    });
    let told_apart = mutual.is_some() || plain_http.is_some();
    let silent = told_apart && ir.others && !http;
    let listener = Listener {
        name: name.clone(),
        address: Some(socket_address(ir.address, ir.port.get())),
        listener_filters: told_apart.then(tls_inspector).into_iter().collect(),
        listener_filters_timeout: silent.then(|| seconds(SILENCE)).flatten(),
        continue_on_listener_filters_timeout: silent,
        filter_chains: mutual.into_iter().chain(plain_http).collect(),
        default_filter_chain: bytes,
        traffic_direction: TrafficDirection::Inbound.into(),
        ..Default::default()
    };
    let refs = vec![Ref { kind: ResourceType::Cluster, name: names::inbound_cluster(ir.port).into() }];
    Resource::encode(ResourceType::Listener, name, &listener, refs)
}

fn mutual(ir: &Inbound, access_log: Option<&AccessLog>) -> FilterChain {
    FilterChain {
        name: "mutual-tls".to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: "tls".to_owned(),
            application_protocols: MESH_ALPN.map(str::to_owned).into(),
            ..Default::default()
        }),
        filters: vec![application(ir, access_log)],
        transport_socket: Some(downstream(ir.trust_domains.iter().map(|domain| &**domain), ir.protocol)),
        transport_socket_connect_timeout: seconds(10),
        ..Default::default()
    }
}

fn application(ir: &Inbound, access_log: Option<&AccessLog>) -> Filter {
    let cluster = names::inbound_cluster(ir.port);
    if ir.protocol.is_http() { http(&cluster, access_log) } else { tcp_proxy(&cluster, false) }
}

fn http(cluster: &str, access_log: Option<&AccessLog>) -> Filter {
    hcm::filter(&HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::RouteConfig(everything_to(cluster))),
        http_filters: vec![hcm::router()],
        // The caller is a proxy of the mesh: what it says of whom it speaks for is passed on.
        use_remote_address: boolean(false),
        normalize_path: boolean(true),
        stream_idle_timeout: seconds(0),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        // The application learns who calls, and from nobody but this proxy.
        forward_client_cert_details: ForwardClientCertDetails::SanitizeSet.into(),
        set_current_client_cert_details: Some(SetCurrentClientCertDetails {
            subject: boolean(true),
            uri: true,
            ..Default::default()
        }),
        ..hcm::connection_manager(cluster, cluster, access_log)
    })
}

/// One try, without a limit of time: the caller has its own, and tries again where that is safe.
fn everything_to(cluster: &str) -> RouteConfiguration {
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        timeout: seconds(0),
        ..Default::default()
    };
    let everything = RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() };
    let route = Route {
        name: "default".to_owned(),
        r#match: Some(everything),
        action: Some(Action::Route(action)),
        ..Default::default()
    };
    let host = VirtualHost {
        name: cluster.to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..Default::default()
    };
    RouteConfiguration { name: cluster.to_owned(), virtual_hosts: vec![host], ..Default::default() }
}

fn tls_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(&TlsInspector::default()))),
        ..Default::default()
    }
}
