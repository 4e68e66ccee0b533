//! The file that an Envoy starts from. All else comes from the control plane, over one stream.

use serde_json::{Map, Value, json};
use std::{net::SocketAddr, path::PathBuf};

/// The cluster that an Envoy fetches its config from. It knows it from the start.
pub const DISCOVERY_CLUSTER: &str = "xds-grpc";
/// The cluster that an Envoy beside an agent fetches its own certificate and the mesh's roots from. It knows it from the start.
pub const SDS_CLUSTER: &str = "sds-grpc";
/// The SDS name of a proxy's own certificate and key.
pub const OWN_CERTIFICATE: &str = "default";
/// The SDS name of the roots that the mesh trusts.
pub const ROOTS: &str = "ROOTCA";

/// What an Envoy must know before it knows anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Who it is, as Istio writes it: `router~127.0.0.1~edge.shop~shop.svc.cluster.local`.
    pub node_id: String,
    /// What it stands for, in its logs and to the control plane: `edge.shop`.
    pub node_cluster: String,
    /// What the control plane is told besides.
    pub metadata: Map<String, Value>,
    /// Where its config comes from, by ADS in plaintext: on this machine.
    pub discovery: Endpoint,
    /// Where its certificates come from, by SDS: its agent. `None` for an Envoy without an identity.
    pub sds: Option<PathBuf>,
    /// Where its administration interface listens. Whoever reaches it may stop the Envoy and read its config.
    pub admin: Endpoint,
    /// When to turn callers away.
    pub limits: Limits,
}

/// A place on this machine that an Envoy listens on or connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port. Loopback only: nobody is asked who he is.
    Tcp(SocketAddr),
    /// A Unix socket: for whom the file's mode lets in.
    Unix(PathBuf),
}

/// When an Envoy turns callers away, rather than fall over for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The heap, in bytes. At 95 % of it memory is given back to the system, at 98 % new requests are answered with 503.
    pub heap_bytes: u64,
    /// Connections of callers, over all listeners. More are closed at once; the administration interface is not counted.
    pub connections: u64,
}

impl Default for Limits {
    /// 2 GiB and 50,000 connections.
    fn default() -> Self {
        Self { heap_bytes: 2 << 30, connections: 50_000 }
    }
}

impl Bootstrap {
    /// The file's content: JSON of `envoy.config.bootstrap.v3.Bootstrap`.
    ///
    /// How long an Envoy drains is told on its command line: `--drain-time-s`, `--drain-strategy`.
    pub fn to_json(&self) -> Value {
        json!({
            "node": {"id": self.node_id, "cluster": self.node_cluster, "metadata": self.metadata},
            "admin": {"address": self.admin.listening(), "ignore_global_conn_limit": true},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": DISCOVERY_CLUSTER}}],
                },
                "lds_config": ads(),
                "cds_config": ads(),
            },
            "static_resources": {"clusters": self.clusters()},
            "overload_manager": overload_manager(self.limits),
            "layered_runtime": {"layers": [
                {"name": "static", "static_layer": {}},
                // Last, so that what is set by hand on one Envoy counts, until it restarts.
                {"name": "admin", "admin_layer": {}},
            ]},
        })
    }

    fn clusters(&self) -> Vec<Value> {
        let sds = self.sds.as_ref().map(|path| grpc_cluster(SDS_CLUSTER, &Endpoint::Unix(path.clone())));
        std::iter::once(grpc_cluster(DISCOVERY_CLUSTER, &self.discovery)).chain(sds).collect()
    }
}

impl Endpoint {
    /// As an address to listen on: a socket is for its owner alone.
    fn listening(&self) -> Value {
        match self {
            Self::Tcp(address) => socket_address(*address),
            Self::Unix(path) => json!({"pipe": {"path": path, "mode": 0o600}}),
        }
    }

    /// As an address to connect to.
    fn peer(&self) -> Value {
        match self {
            Self::Tcp(address) => socket_address(*address),
            Self::Unix(path) => json!({"pipe": {"path": path}}),
        }
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// Waited for as long as it takes: an Envoy without its control plane has nothing to serve.
fn ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"})
}

fn grpc_cluster(name: &str, at: &Endpoint) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at.peer()}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                // A control plane that is gone without a word is noticed within 35 seconds.
                "explicit_http_config": {"http2_protocol_options": {
                    "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                }},
            },
        },
    });
    if matches!(at, Endpoint::Tcp(_)) {
        cluster["upstream_connection_options"] =
            json!({"tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 5}});
    }
    cluster
}

/// By Envoy's "Configuring Envoy as an edge proxy".
fn overload_manager(limits: Limits) -> Value {
    const HEAP: &str = "envoy.resource_monitors.fixed_heap";
    let monitor = |name: &str, message: &str, field: &str, limit: u64| {
        let url = format!("type.googleapis.com/envoy.extensions.resource_monitors.{message}");
        // 64-bit numbers are texts in protobuf's JSON.
        json!({"name": name, "typed_config": {"@type": url, field: limit.to_string()}})
    };
    let action = |name: &str, share: f64| {
        json!({
            "name": format!("envoy.overload_actions.{name}"),
            "triggers": [{"name": HEAP, "threshold": {"value": share}}],
        })
    };
    json!({
        "refresh_interval": "0.25s",
        "resource_monitors": [
            monitor(HEAP, "fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes", limits.heap_bytes),
            monitor(
                "envoy.resource_monitors.global_downstream_max_connections",
                "downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections",
                limits.connections,
            ),
        ],
        "actions": [action("shrink_heap", 0.95), action("stop_accepting_requests", 0.98)],
    })
}
