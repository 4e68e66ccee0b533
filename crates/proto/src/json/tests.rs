use super::*;
use crate::{
    Ref, ResourceType,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{Cluster, cluster::LbPolicy},
                core::v3::{DataSource, data_source::Specifier},
                listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
                route::v3::RouteConfiguration,
            },
            extensions::{
                filters::{
                    http::router::v3::Router,
                    network::http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
                    },
                },
                transport_sockets::tls::v3::{Secret, TlsCertificate, secret},
                upstreams::http::v3::{HttpProtocolOptions, http_protocol_options},
            },
        },
        google::protobuf::{Any, Duration, StringValue},
    },
};
use prost::Message;
use serde_json::json;

fn resource<M: Message>(kind: ResourceType, message: &M) -> Resource {
    Resource::encode(kind, "test", message, Vec::<Ref>::new())
}

fn pack<M: Message>(name: &str, message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

#[test]
fn the_descriptors_decode_and_hold_every_resource_type() {
    for kind in ResourceType::ALL {
        assert_eq!(message_to_json(kind.url(), &[]), json!({}), "{}", kind.url());
    }
}

#[test]
fn fields_enums_durations_and_maps_are_written_as_in_envoys_documentation() {
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(http_protocol_options::UpstreamProtocolOptions::ExplicitHttpConfig(
            http_protocol_options::ExplicitHttpConfig { protocol_config: None },
        )),
        ..Default::default()
    };
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let cluster = Cluster {
        name: "test".into(),
        lb_policy: LbPolicy::LeastRequest.into(),
        connect_timeout: Some(Duration { seconds: 1, nanos: 500_000_000 }),
        typed_extension_protocol_options: [("http".to_owned(), pack(name, &options))].into(),
        ..Default::default()
    };
    let expected = json!({
        "name": "test",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "1.500s",
        "typed_extension_protocol_options": {
            "http": {"@type": format!("type.googleapis.com/{name}"), "explicit_http_config": {}},
        },
    });
    assert_eq!(to_json(&resource(ResourceType::Cluster, &cluster)), expected);
}

#[test]
fn anys_inside_anys_are_expanded() {
    let router = HttpFilter {
        name: "router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(
            "envoy.extensions.filters.http.router.v3.Router",
            &Router { suppress_envoy_headers: true, ..Default::default() },
        ))),
        ..Default::default()
    };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::RouteConfig(RouteConfiguration {
            name: "80".into(),
            ..Default::default()
        })),
        http_filters: vec![router],
        ..Default::default()
    };
    let name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let filter = Filter { name: "http".into(), config_type: Some(ConfigType::TypedConfig(pack(name, &manager))) };
    let listener = Listener {
        filter_chains: vec![FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    };
    let json = to_json(&resource(ResourceType::Listener, &listener));
    let config = &json["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(config["route_config"]["name"], "80");
    assert_eq!(config["http_filters"][0]["typed_config"]["suppress_envoy_headers"], true);
}

#[test]
fn an_unknown_any_keeps_its_type_and_bytes_and_spares_the_rest() {
    let unknown = Any { type_url: "type.googleapis.com/example.Unknown".into(), value: vec![1, 2, 3] };
    let text = pack("google.protobuf.StringValue", &StringValue { value: "hello".into() });
    let cluster = Cluster {
        name: "test".into(),
        typed_extension_protocol_options: [("a".to_owned(), unknown), ("b".to_owned(), text)].into(),
        ..Default::default()
    };
    let json = to_json(&resource(ResourceType::Cluster, &cluster));
    assert_eq!(json["name"], "test");
    let options = &json["typed_extension_protocol_options"];
    assert_eq!(options["a"], json!({"@type": "type.googleapis.com/example.Unknown", "value": "AQID"}));
    assert_eq!(options["b"], json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "hello"}));
}

#[test]
fn bytes_that_are_not_of_the_type_are_base64() {
    let url = ResourceType::Cluster.url();
    assert_eq!(message_to_json(url, &[0xff]), json!({"@type": url, "value": "/w=="}));
}

#[test]
fn secrets_show_only_where_that_is_asked_for() {
    let inline =
        |text: &str| Some(DataSource { specifier: Some(Specifier::InlineString(text.into())), ..Default::default() });
    let certificate =
        TlsCertificate { certificate_chain: inline("chain"), private_key: inline("key"), ..Default::default() };
    let secret = Secret { name: "test".into(), r#type: Some(secret::Type::TlsCertificate(certificate)) };
    let secret = resource(ResourceType::Secret, &secret);
    let shown = to_json(&secret);
    assert_eq!(shown["tls_certificate"]["private_key"], "[redacted]");
    assert_eq!(shown["tls_certificate"]["certificate_chain"]["inline_string"], "chain");
    assert_eq!(to_json_exposed(&secret)["tls_certificate"]["private_key"]["inline_string"], "key");
}

#[test]
fn numbers_that_json_cannot_hold_are_text() {
    assert_eq!(float(f64::NAN), "NaN");
    assert_eq!(float(f64::NEG_INFINITY), "-Infinity");
    assert_eq!(float(1.5), 1.5);
}
