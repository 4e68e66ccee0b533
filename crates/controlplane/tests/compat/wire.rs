//! The messages and names of the protocol, written down anew: what is wrong in the crates must not be wrong here likewise.

use std::collections::HashMap;
use tombolo_proto::envoy::google::protobuf::Struct;

pub(crate) const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
pub(crate) const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
pub(crate) const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

pub(crate) const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(crate) const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub(crate) const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub(crate) const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
pub(crate) const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
pub(crate) const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";
pub(crate) const HEALTH_REPORT: &str = "type.googleapis.com/mesh.tombolo.dev.v1.HealthReport";

/// `istio.v1.auth.IstioCertificateRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CertificateRequest {
    #[prost(string, tag = "1")]
    pub(crate) csr: String,
    #[prost(int64, tag = "3")]
    pub(crate) validity_duration: i64,
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Struct>,
}

/// `istio.v1.auth.IstioCertificateResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CertificateResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) cert_chain: Vec<String>,
}

/// `istio.networking.nds.v1.NameTable`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NameTable {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) table: HashMap<String, NameInfo>,
}

/// `istio.networking.nds.v1.NameTable.NameInfo`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NameInfo {
    #[prost(string, repeated, tag = "1")]
    pub(crate) ips: Vec<String>,
    #[prost(string, tag = "2")]
    pub(crate) registry: String,
    #[prost(string, tag = "3")]
    pub(crate) shortname: String,
    #[prost(string, tag = "4")]
    pub(crate) namespace: String,
}
