//! The names of resources: Istio's, so that its users' tools and habits work.

use tombolo_core::{Host, Port};

/// `outbound|80||reviews.default.svc.cluster.local`
pub fn cluster(host: &Host, port: Port) -> String {
    format!("outbound|{port}||{host}")
}

/// `0.0.0.0_80`: what listens on a port for every address, and `10.0.0.1_80` for one.
pub fn listener(address: &str, port: Port) -> String {
    format!("{address}_{port}")
}

/// A gateway's plain HTTP route table of a port: `http.80`.
pub fn http_table(port: Port) -> String {
    format!("http.{port}")
}

/// A gateway's route table of one HTTPS listener: `https.443.LISTENER.GATEWAY.NAMESPACE`.
pub fn https_table(port: Port, listener: &str, gateway: &str, namespace: &str) -> String {
    format!("https.{port}.{listener}.{gateway}.{namespace}")
}

/// A TLS certificate from a Secret: `kubernetes://NAMESPACE/NAME`.
pub fn secret(namespace: &str, name: &str) -> String {
    format!("kubernetes://{namespace}/{name}")
}

/// The identities behind a service's port, which its callers check: `san|80|reviews.default.svc.cluster.local`.
pub fn identities(host: &Host, port: Port) -> String {
    format!("san|{port}|{host}")
}

/// The name that a caller asks for by SNI in the mesh's mutual TLS: `outbound_.80_._.reviews.default.svc.cluster.local`.
pub fn server_name(host: &Host, port: Port) -> String {
    format!("outbound_.{port}_._.{host}")
}

/// The cluster of a workload's own port, as its proxy reaches it: `inbound|8080||`.
pub fn inbound_cluster(port: Port) -> String {
    format!("inbound|{port}||")
}

/// The listener that a workload's outgoing connections are redirected to.
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// Where requests of unknown destination go when that is allowed.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Where they go when it is not: it has no endpoints.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// The route table of the HTTP proxies through which workloads make their calls.
pub const HTTP_PROXY: &str = "http_proxy";
/// Where an HTTP proxy sends requests for hosts that the mesh does not know, when that is allowed: to the host's own address.
pub const HTTP_PROXY_UNKNOWN: &str = "PassthroughHttpProxy";
/// The cluster of a backend that a route names and that is not there. It never exists, so that Envoy answers for it.
pub const INVALID_BACKEND: &str = "invalid-backend";
/// The DNS cache that clusters of dynamic hosts share.
pub const DNS_CACHE: &str = "mesh-dns";
/// Where the metadata of a cluster of dynamic hosts holds the service's port, as text: a namespace and a key.
pub const DYNAMIC_PORT: [&str; 2] = ["mesh.tombolo.dev", "dynamic_port"];
