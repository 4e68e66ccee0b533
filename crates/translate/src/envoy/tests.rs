//! What is encoded here, read by a real Envoy.

#[path = "../../tests/support/inline.rs"]
mod inline;
#[path = "../../tests/support/envoy.rs"]
mod real;

use super::{
    any::any,
    hcm,
    listener::{Bind, Edge, listener},
    secret::secret,
};
use crate::{ir, names};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tombolo_api::{
    kubernetes::Bytes,
    mesh::{AccessLog, AccessLogFormat},
};
use tombolo_core::{Host, Port};
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits};
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, CustomClusterType, LbPolicy},
            },
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action, route_match,
            },
        },
        extensions::clusters::dynamic_forward_proxy::v3::{ClusterConfig, cluster_config},
    },
};

const DYNAMIC: &str = "outbound|80||*.example.com";

fn port(number: i64) -> Port {
    Port::new(number).unwrap()
}

fn json_log() -> AccessLog {
    let fields = BTreeMap::from([("status", "%RESPONSE_CODE%"), ("path", "%REQ(:PATH)%")]);
    let fields = fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    AccessLog { path: None, format: Some(AccessLogFormat::Json(fields)) }
}

/// A table whose one route goes to whatever host a request names.
fn table(name: &str) -> Resource {
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        }),
        action: Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(DYNAMIC.into())),
            ..Default::default()
        })),
        ..Default::default()
    };
    let host = VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    let message = RouteConfiguration { name: name.into(), virtual_hosts: vec![host], ..Default::default() };
    Resource::encode(ResourceType::Routes, name, &message, Vec::<Ref>::new())
}

fn dynamic_cluster() -> Resource {
    let config = ClusterConfig {
        cluster_implementation_specifier: Some(cluster_config::ClusterImplementationSpecifier::DnsCacheConfig(
            hcm::dns_cache(),
        )),
        ..Default::default()
    };
    let kind =
        CustomClusterType { name: "envoy.clusters.dynamic_forward_proxy".into(), typed_config: Some(any(&config)) };
    let message = Cluster {
        name: DYNAMIC.into(),
        lb_policy: LbPolicy::ClusterProvided.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(kind)),
        ..Default::default()
    };
    Resource::encode(ResourceType::Cluster, DYNAMIC, &message, Vec::<Ref>::new())
}

fn certificate(name: &str) -> Resource {
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
    let pem = |text: String| Bytes::new(text.into_bytes());
    secret(name, &pem(made.cert.pem()), &pem(made.signing_key.serialize_pem()))
}

fn https() -> ir::Listener {
    let chain = |sni: Option<&str>, table: &str| ir::TlsChain {
        sni: sni.map(|name| Host::parse(name).unwrap()),
        certificates: vec![names::secret("shop", "tls")],
        table: table.to_owned(),
    };
    let chains = [chain(Some("*.example.com"), "wild"), chain(Some("shop.example.com"), "shop"), chain(None, "rest")];
    ir::Listener { port: port(443), chains: ir::Chains::Https(chains.into()) }
}

#[test]
fn a_real_envoy_accepts_every_shape_of_listener() {
    let Some(envoy) = real::binary() else { return };
    let log = json_log();
    let bind = Bind::dual_stack();
    let edge = |port| Edge { bind: &bind, port, access_log: Some(&log), trusted_proxies: 2 };
    let http = ir::Listener { port: port(80), chains: ir::Chains::Http { table: names::http_table(port(80)) } };
    let resources = [
        listener(&http, &edge(8080)),
        listener(&https(), &edge(443)),
        table("http.80"),
        table("wild"),
        table("shop"),
        table("rest"),
        dynamic_cluster(),
        certificate(&names::secret("shop", "tls")),
    ]
    .map(Arc::new);
    let bootstrap = inline::bootstrap(&resources);
    assert_eq!(real::validate(&envoy, &bootstrap), Ok(()));
}

#[test]
fn a_listener_names_its_tables_and_certificates() {
    let resource = listener(&https(), &Edge { bind: &Bind::ipv4(), port: 443, access_log: None, trusted_proxies: 0 });
    assert_eq!(&**resource.name(), "0.0.0.0_443");
    let named: Vec<String> = resource.refs().map(|r| format!("{} {}", r.kind.short(), r.name)).collect();
    assert_eq!(named, ["sds kubernetes://shop/tls", "rds rest", "rds shop", "rds wild"]);
}

#[test]
fn low_ports_move_up_where_asked_and_others_stay() {
    let bind = Bind::loopback(10_000);
    assert_eq!([80, 443, 1023, 1024, 8080].map(|number| bind.port(port(number))), [10080, 10443, 11023, 1024, 8080]);
    assert_eq!(Bind::ipv4().port(port(80)), 80);
}

#[test]
fn a_real_envoy_accepts_the_bootstrap() {
    let Some(envoy) = real::binary() else { return };
    for admin in
        [Endpoint::Tcp(([127, 0, 0, 1], 15000).into()), Endpoint::Unix(PathBuf::from("/tmp/tombolo-admin.sock"))]
    {
        let bootstrap = Bootstrap {
            node_id: "router~127.0.0.1~edge.shop~shop.svc.cluster.local".into(),
            node_cluster: "edge.shop".into(),
            metadata: serde_json::Map::from_iter([("NAMESPACE".to_owned(), "shop".into())]),
            discovery: Endpoint::Unix(PathBuf::from("/tmp/tombolo-xds.sock")),
            sds: Some(PathBuf::from("/tmp/tombolo-sds.sock")),
            admin,
            limits: Limits::default(),
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bootstrap.json");
        std::fs::write(&file, bootstrap.to_json().to_string()).unwrap();
        assert_eq!(real::validate_file(&envoy, &file), Ok(()));
    }
}
