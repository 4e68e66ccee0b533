//! The mesh's mutual TLS: how a proxy speaks it to others, and takes it from them.
//!
//! A proxy's own certificate, and for its callers the roots, come from its agent over SDS. Who may answer for a service comes
//! over ADS, as a secret of its own: endpoints and their identities change without their cluster.

use super::{
    any::{ads, any, boolean, seconds},
    endpoints::TLS_MODE,
};
use crate::ir::{MeshTls, Protocol};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::istio::MUTUAL_TLS;
use tombolo_proto::{
    Part, Ref, Resource, ResourceType,
    bootstrap::{OWN_CERTIFICATE, ROOTS, SDS_CLUSTER},
    envoy::{
        envoy::{
            config::{
                cluster::v3::cluster::TransportSocketMatch,
                core::v3::{
                    ApiConfigSource, ApiVersion, ConfigSource, DataSource, GrpcService, TransportSocket,
                    api_config_source::ApiType, config_source::ConfigSourceSpecifier, data_source, grpc_service,
                    transport_socket,
                },
            },
            extensions::transport_sockets::{
                raw_buffer::v3::RawBuffer,
                tls::v3::{
                    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
                    SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
                    common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
                    secret,
                    subject_alt_name_matcher::SanType,
                    tls_parameters::TlsProtocol,
                },
            },
            r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
        },
        google::protobuf::{Any, Struct, Value, value::Kind},
    },
};

/// What callers propose (ALPN), by which the mesh's TLS is told from an application's own. Istio's words.
pub(super) const MESH_ALPN: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// An identity that no certificate has: the mesh's are all of the form `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
const NOBODY: &str = "spiffe://nobody.invalid";

/// The longest name that TLS carries (RFC 6066), in bytes.
const MAX_SERVER_NAME: usize = 255;

// === Whom to trust ===

/// The roots, PEM, as a part of every secret of [`identities`].
pub(crate) fn roots(pem: &str) -> Part {
    let ca = DataSource { specifier: Some(data_source::Specifier::InlineString(pem.to_owned())), ..Default::default() };
    let context = CertificateValidationContext { trusted_ca: Some(ca), ..Default::default() };
    let secret = Secret { r#type: Some(secret::Type::ValidationContext(context)), ..Default::default() };
    Part::of(&secret, Vec::<Ref>::new())
}

/// The secret by which a caller checks who answers: one of these identities, under one of these roots.
///
/// Without any identity it lets nobody in: an empty list would let in whoever has a certificate of the mesh.
pub(crate) fn identities(name: &str, roots: &Arc<Part>, identities: &BTreeSet<String>) -> Resource {
    let exact = |id: &str| uri(MatchPattern::Exact(id.to_owned()));
    let matchers = match identities.is_empty() {
        true => vec![exact(NOBODY)],
        false => identities.iter().map(|id| exact(id)).collect(),
    };
    let context = CertificateValidationContext { match_typed_subject_alt_names: matchers, ..Default::default() };
    let own = Secret { name: name.to_owned(), r#type: Some(secret::Type::ValidationContext(context)) };
    // One field in two parts: protobuf merges them, so the roots are encoded once for all services.
    let own = Arc::new(Part::of(&own, Vec::<Ref>::new()));
    Resource::assemble(ResourceType::Secret, name, vec![own, roots.clone()])
}

fn uri(pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..Default::default() }),
        ..Default::default()
    }
}

// === Callers ===

/// How a cluster's endpoints are spoken to: by mutual TLS where an endpoint's metadata says so, in the clear otherwise.
pub(super) fn upstream(tls: &MeshTls, protocol: Protocol) -> Vec<TransportSocketMatch> {
    let context = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(SdsSecretConfig {
                name: tls.identities.clone(),
                sds_config: Some(ads()),
            })),
            alpn_protocols: proposed(protocol),
            ..common()
        }),
        // Only a help to whoever looks on: one that is too long is left out, rather than the call.
        sni: Some(&tls.server_name).filter(|name| name.len() <= MAX_SERVER_NAME).cloned().unwrap_or_default(),
        ..Default::default()
    };
    let mutual = TransportSocketMatch {
        name: "tlsMode-istio".to_owned(),
        r#match: Some(labelled(TLS_MODE, MUTUAL_TLS)),
        transport_socket: Some(socket("envoy.transport_sockets.tls", any(&context))),
    };
    let plain = TransportSocketMatch {
        name: "tlsMode-disabled".to_owned(),
        r#match: Some(Struct::default()),
        transport_socket: Some(socket("envoy.transport_sockets.raw_buffer", any(&RawBuffer {}))),
    };
    vec![mutual, plain]
}

fn proposed(protocol: Protocol) -> Vec<String> {
    let words: &[&str] = match protocol {
        Protocol::Http => &["istio-http/1.1", "istio"],
        Protocol::Http2 => &["istio-h2", "istio", "h2"],
        Protocol::Tls | Protocol::Tcp => &["istio-peer-exchange", "istio"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// One key: the generated map has no order.
fn labelled(key: &str, value: &str) -> Struct {
    Struct { fields: [(key.to_owned(), Value { kind: Some(Kind::StringValue(value.to_owned())) })].into() }
}

// === The called ===

/// Takes TLS from callers with a certificate of one of these trust domains, under the mesh's roots; refuses all others. No
/// trust domain lets nobody in.
pub(super) fn downstream<'a>(trust_domains: impl Iterator<Item = &'a str>, protocol: Protocol) -> TransportSocket {
    let prefix = |domain: &str| uri(MatchPattern::Prefix(format!("spiffe://{domain}/")));
    let mut peers: Vec<SubjectAltNameMatcher> = trust_domains.map(prefix).collect();
    if peers.is_empty() {
        peers.push(uri(MatchPattern::Exact(NOBODY.to_owned())));
    }
    let combined = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: peers,
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(from_agent(ROOTS)),
        ..Default::default()
    };
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(combined)),
            alpn_protocols: accepted(protocol),
            ..common()
        }),
        require_client_certificate: boolean(true),
        ..Default::default()
    };
    socket("envoy.transport_sockets.tls", any(&context))
}

/// What is agreed on: HTTP's own words, by which the connection manager knows HTTP/2. Never Istio's exchange of metadata,
/// which would stand before the first byte of the application's.
fn accepted(protocol: Protocol) -> Vec<String> {
    let words: &[&str] = match protocol {
        Protocol::Http | Protocol::Http2 => &["h2", "http/1.1"],
        Protocol::Tls | Protocol::Tcp => &["istio"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

// === Both ===

/// The proxy's own certificate, and TLS of today.
fn common() -> CommonTlsContext {
    CommonTlsContext {
        tls_params: Some(TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
            // Envoy's callers would stop at 1.2.
            tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
            ..Default::default()
        }),
        tls_certificate_sds_secret_configs: vec![from_agent(OWN_CERTIFICATE)],
        ..Default::default()
    }
}

/// From the proxy's agent, waited for as long as it takes.
fn from_agent(name: &str) -> SdsSecretConfig {
    let envoy_grpc = grpc_service::EnvoyGrpc { cluster_name: SDS_CLUSTER.to_owned(), ..Default::default() };
    let service = GrpcService {
        target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(envoy_grpc)),
        ..Default::default()
    };
    let source = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..Default::default()
    };
    let config = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: seconds(0),
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
        ..Default::default()
    };
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(config) }
}

fn socket(name: &str, config: Any) -> TransportSocket {
    TransportSocket { name: name.to_owned(), config_type: Some(transport_socket::ConfigType::TypedConfig(config)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    fn unpack<M: prost::Message + Default>(socket: &TransportSocket) -> M {
        let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else { panic!("{socket:?}") };
        M::decode(&*any.value).unwrap()
    }

    fn call(server_name: &str, protocol: Protocol) -> UpstreamTlsContext {
        let tls = MeshTls { identities: "san|80|a.b".to_owned(), server_name: server_name.to_owned() };
        unpack(upstream(&tls, protocol)[0].transport_socket.as_ref().unwrap())
    }

    #[test]
    fn a_name_that_tls_cannot_carry_is_left_out() {
        let longest = "a".repeat(255);
        assert_eq!(call(&longest, Protocol::Tcp).sni, longest);
        assert_eq!(call(&format!("{longest}a"), Protocol::Tcp).sni, "");
    }

    #[test]
    fn what_is_proposed_is_known_for_the_meshs_and_agreed_on_in_http_alone() {
        for protocol in [Protocol::Http, Protocol::Http2, Protocol::Tls, Protocol::Tcp] {
            let proposed = call("a.b", protocol).common_tls_context.unwrap().alpn_protocols;
            assert!(proposed.iter().any(|word| MESH_ALPN.contains(&&**word)), "{protocol:?}");
            let accepted = accepted(protocol);
            let agreed = accepted.iter().find(|word| proposed.contains(word)).map(String::as_str);
            let expected = match protocol {
                Protocol::Http => None, // HTTP/1.1 is what is spoken where nothing is agreed on
                Protocol::Http2 => Some("h2"),
                Protocol::Tls | Protocol::Tcp => Some("istio"),
            };
            assert_eq!(agreed, expected, "{protocol:?}");
        }
    }

    #[test]
    fn an_empty_list_lets_nobody_in() {
        let context: DownstreamTlsContext = unpack(&downstream([].into_iter(), Protocol::Tcp));
        assert_eq!(context.require_client_certificate, boolean(true));
        let Some(ValidationContextType::CombinedValidationContext(combined)) =
            context.common_tls_context.unwrap().validation_context_type
        else {
            panic!("not combined")
        };
        let nobody = uri(MatchPattern::Exact(NOBODY.to_owned()));
        let peers = combined.default_validation_context.unwrap().match_typed_subject_alt_names;
        assert_eq!(peers, std::slice::from_ref(&nobody));
        let secret = identities("san|80|a.b", &Arc::new(roots("ROOT")), &BTreeSet::new());
        let secret = Secret::decode(secret.value()).unwrap();
        let Some(secret::Type::ValidationContext(context)) = secret.r#type else { panic!("not for validation") };
        assert_eq!(context.match_typed_subject_alt_names, [nobody]);
    }
}
