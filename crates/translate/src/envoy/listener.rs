//! The listeners of gateways.

use super::{
    any::{ads, any, seconds, socket_address, uint32},
    hcm,
};
use crate::{ir, names};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tombolo_api::mesh::AccessLog;
use tombolo_core::{Host, Port};
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::envoy::{
        config::{
            core::v3::{TransportSocket, transport_socket},
            listener::v3::{
                AdditionalAddress, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter,
            },
        },
        extensions::{
            filters::listener::tls_inspector::v3::TlsInspector,
            transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, TlsParameters, tls_parameters::TlsProtocol,
            },
        },
    },
};

/// Every gateway's requests are counted together: counters per listener and route would outnumber the routes.
const STAT_PREFIX: &str = "gateway";

/// The most bytes that one connection may have waiting in each direction, by Envoy's edge guidance.
const CONNECTION_BUFFER_BYTES: u32 = 32 * 1024;

/// Ports below this one are for root.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Where a gateway's listeners bind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bind {
    /// The first address of all, by which listeners are named.
    pub address: IpAddr,
    /// Besides the first.
    pub also: Vec<IpAddr>,
    /// Added to ports below 1024, which not everybody may bind; 0 for none.
    pub low_port_offset: u16,
}

/// What the listeners of a gateway have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge<'a> {
    /// Where they bind.
    pub(crate) bind: &'a Bind,
    /// The port that is bound.
    pub(crate) port: u16,
    /// How they log requests; not at all where absent.
    pub(crate) access_log: Option<&'a AccessLog>,
    /// How many proxies of ours stand before the gateway: see [`hcm::edge`].
    pub(crate) trusted_proxies: u32,
}

impl Bind {
    /// Every IPv4 address of the machine, each port as it is.
    pub fn ipv4() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), also: Vec::new(), low_port_offset: 0 }
    }

    /// Every address of a machine that has both families. One without IPv6 would refuse the listener.
    pub fn dual_stack() -> Self {
        Self { also: vec![Ipv6Addr::UNSPECIFIED.into()], ..Self::ipv4() }
    }

    /// This machine alone, low ports moved up: for a user who is not root.
    pub fn loopback(low_port_offset: u16) -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), also: Vec::new(), low_port_offset }
    }

    /// The port that is bound for one that a Gateway names.
    pub fn port(&self, port: Port) -> u16 {
        match port.get() {
            low if low < FIRST_UNPRIVILEGED_PORT => low.saturating_add(self.low_port_offset),
            high => high,
        }
    }
}

impl Default for Bind {
    fn default() -> Self {
        Self::ipv4()
    }
}

/// A gateway's listener, named by the port that the Gateway names.
pub(crate) fn listener(ir: &ir::Listener, edge: &Edge<'_>) -> Resource {
    let name = names::listener(&edge.bind.address.to_string(), ir.port);
    let additional =
        |ip: &IpAddr| AdditionalAddress { address: Some(socket_address(*ip, edge.port)), ..Default::default() };
    let base = Listener {
        name: name.clone(),
        address: Some(socket_address(edge.bind.address, edge.port)),
        additional_addresses: edge.bind.also.iter().map(additional).collect(),
        per_connection_buffer_limit_bytes: uint32(CONNECTION_BUFFER_BYTES),
        ..Default::default()
    };
    let message = match &ir.chains {
        ir::Chains::Http { table } => Listener { default_filter_chain: Some(chain(table, edge)), ..base },
        ir::Chains::Https(chains) => {
            let listener = Listener { listener_filters: vec![tls_inspector()], ..base };
            chains.iter().fold(listener, |listener, tls| with_tls_chain(listener, tls, edge))
        }
    };
    Resource::encode(ResourceType::Listener, name, &message, refs(&ir.chains))
}

/// HTTP from one route table.
fn chain(table: &str, edge: &Edge<'_>) -> FilterChain {
    let manager = hcm::connection_manager(STAT_PREFIX, table, edge.access_log);
    let filters = vec![hcm::filter(&hcm::edge(manager, edge.trusted_proxies))];
    FilterChain { name: table.to_owned(), filters, ..Default::default() }
}

/// Adds the chain for those who ask for a name, or the one for everybody else.
fn with_tls_chain(mut listener: Listener, tls: &ir::TlsChain, edge: &Edge<'_>) -> Listener {
    let chain = FilterChain {
        transport_socket: Some(terminate(&tls.certificates)),
        transport_socket_connect_timeout: seconds(10),
        ..chain(&tls.table, edge)
    };
    match tls.sni.as_ref().filter(|name| !name.is_any()) {
        Some(name) => listener.filter_chains.push(FilterChain { filter_chain_match: Some(asking_for(name)), ..chain }),
        None => listener.default_filter_chain = Some(chain),
    }
    listener
}

fn asking_for(name: &Host) -> FilterChainMatch {
    FilterChainMatch { server_names: vec![name.as_str().to_owned()], ..Default::default() }
}

/// TLS ends here, with certificates that come by themselves: a new one touches no listener.
fn terminate(certificates: &[String]) -> TransportSocket {
    let secret = |name: &String| SdsSecretConfig { name: name.clone(), sds_config: Some(ads()) };
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
                ..Default::default()
            }),
            tls_certificate_sds_secret_configs: certificates.iter().map(secret).collect(),
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}

fn tls_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(&TlsInspector::default()))),
        ..Default::default()
    }
}

/// The route tables and certificates that a listener names, in order.
fn refs(chains: &ir::Chains) -> Vec<Ref> {
    let named = |kind, name: &String| Ref { kind, name: name.as_str().into() };
    let mut refs: Vec<Ref> = match chains {
        ir::Chains::Http { table } => vec![named(ResourceType::Routes, table)],
        ir::Chains::Https(chains) => chains
            .iter()
            .flat_map(|chain| {
                let secrets = chain.certificates.iter().map(move |name| named(ResourceType::Secret, name));
                secrets.chain([named(ResourceType::Routes, &chain.table)])
            })
            .collect(),
    };
    refs.sort_unstable();
    refs.dedup();
    refs
}
