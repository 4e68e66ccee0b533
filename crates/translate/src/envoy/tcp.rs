//! Connections as they are: the TCP proxy.

use super::{any::any, hcm::dns_cache};
use tombolo_core::Port;
use tombolo_proto::envoy::envoy::{
    config::listener::v3::{Filter, filter::ConfigType},
    extensions::filters::network::{
        sni_dynamic_forward_proxy::v3::{FilterConfig, filter_config::PortSpecifier},
        tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
    },
    r#type::v3::{
        HashPolicy,
        hash_policy::{PolicySpecifier, SourceIp},
    },
};

/// The last filter of a chain whose connections all go to one cluster. `client_affinity`: one client's go to one endpoint.
pub(super) fn tcp_proxy(cluster: &str, client_affinity: bool) -> Filter {
    let source_ip = HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp {})) };
    let proxy = TcpProxy {
        stat_prefix: cluster.to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        hash_policy: client_affinity.then_some(source_ip).into_iter().collect(),
        ..TcpProxy::default()
    };
    Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&proxy))),
    }
}

/// Looks up the name that TLS asks for, for the TCP proxy after it: its cluster is one of dynamic hosts.
pub(super) fn look_up_server_name(port: Port) -> Filter {
    let config = FilterConfig {
        dns_cache_config: Some(dns_cache()),
        port_specifier: Some(PortSpecifier::PortValue(port.get().into())),
        ..FilterConfig::default()
    };
    Filter {
        name: "envoy.filters.network.sni_dynamic_forward_proxy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&config))),
    }
}
