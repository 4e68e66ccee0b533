//! What agents and the control plane say to each other besides Envoy's xDS, on the wire as Istio's agents do.
//!
//! The messages are few and small, so they are written here as they are on the wire.

use crate::envoy::google::protobuf::Struct;
use bytes::BufMut;
use prost::encoding::{encode_varint, encoded_len_varint};
use std::collections::HashMap;

/// `istio.v1.auth.IstioCertificateRequest`: asks for a certificate. Who asks is proven by the request's bearer token or by the
/// connection's client certificate, and never by what stands in here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateRequest {
    /// The certificate request (PKCS #10) in PEM. Only its public key counts.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// How long the certificate should be valid, in seconds; 0 for the server's default. The server may give less.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    /// `CertSigner`, `ImpersonatedIdentity`. Others are passed over.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

/// `istio.v1.auth.IstioCertificateResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateResponse {
    /// PEM, one certificate each: the leaf first, then intermediates, the root last.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}

/// The path of the gRPC method that issues certificates.
pub const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
/// The path of the delta ADS method.
pub const DELTA_ADS: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The whole-table form of names, as Istio's agents ask for it: one resource, sent whole whenever a name changes.
pub const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
/// The resource-wise form of names, ours: one resource a host, whose message is [`NameInfo`] and whose name is the host. An empty
/// message says that the host is no name here: it hides what others see under it, and stands in no table.
pub const NAME: &str = "type.googleapis.com/mesh.tombolo.dev.v1.Name";
/// Health as Istio's agents report it: a request of this type without resources, `error_detail` set where the workload is unhealthy.
pub const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";
/// Health as our agents report it: like [`HEALTH`], and `response_nonce` holds the report's sequence number in decimal. The answer is a
/// response of this type without resources, whose `nonce` is the number of the newest report that counts.
pub const HEALTH_REPORT: &str = "type.googleapis.com/mesh.tombolo.dev.v1.HealthReport";

/// `istio.networking.nds.v1.NameTable`: every name that a proxy's workload may look up, by host.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NameTable {
    /// By host; a wildcard such as `*.example.com` stands for every name below.
    #[prost(map = "string, message", tag = "1")]
    pub table: HashMap<String, NameInfo>,
}

/// `istio.networking.nds.v1.NameTable.NameInfo`: what one host resolves to.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NameInfo {
    /// Its addresses, IPv4 and IPv6, in text.
    #[prost(string, repeated, tag = "1")]
    pub ips: Vec<String>,
    /// `Kubernetes` or `External`. Hosts of Kubernetes Services are known by shorter names too.
    #[prost(string, tag = "2")]
    pub registry: String,
    /// Of a Kubernetes Service: its name.
    #[prost(string, tag = "3")]
    pub shortname: String,
    /// Of a Kubernetes Service: its namespace.
    #[prost(string, tag = "4")]
    pub namespace: String,
}

/// Adds a row to an encoded [`NameTable`]: tables are put together from names that are encoded already.
pub fn put_table_row(host: &str, info: &[u8], table: &mut impl BufMut) {
    // A map is a repeated entry with its key in field 1 and its value in field 2 (protobuf's encoding of maps).
    let field_len = |bytes: &[u8]| 1 + encoded_len_varint(bytes.len() as u64) + bytes.len();
    table.put_u8(0x0a);
    encode_varint((field_len(host.as_bytes()) + field_len(info)) as u64, table);
    for (tag, bytes) in [(0x0a, host.as_bytes()), (0x12, info)] {
        table.put_u8(tag);
        encode_varint(bytes.len() as u64, table);
        table.put_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    /// Maps are repeated entries, and the messages of a row are one message: tables can be put together from encoded names.
    #[test]
    fn tables_in_a_row_are_one_table() {
        let info = |ip: &str| NameInfo { ips: vec![ip.to_owned()], ..NameInfo::default() };
        let names = [("a".to_owned(), info("10.0.0.1")), ("b".repeat(253), info(&"2001:db8::".repeat(20)))];
        let mut bytes = Vec::new();
        for (host, info) in &names {
            put_table_row(host, &info.encode_to_vec(), &mut bytes);
        }
        let whole = NameTable::decode(&*bytes).unwrap();
        assert_eq!(whole.table, names.into());
    }
}
