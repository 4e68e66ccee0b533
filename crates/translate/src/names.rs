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

/// The listener that a workload's outgoing connections are redirected to.
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// Where requests of unknown destination go when that is allowed.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Where they go when it is not: it has no endpoints.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// The cluster of a backend that a route names and that is not there. It never exists, so that Envoy answers for it.
pub const INVALID_BACKEND: &str = "invalid-backend";
/// The DNS cache that clusters of dynamic hosts share.
pub const DNS_CACHE: &str = "mesh-dns";
/// Where the metadata of a cluster of dynamic hosts holds the service's port, as text: a namespace and a key.
pub const DYNAMIC_PORT: [&str; 2] = ["mesh.tombolo.dev", "dynamic_port"];
