//! What is made is what a real Envoy takes.

use crate::testing::world;
use prost::{Message, Name};
use std::{env, fs, path::PathBuf, process::Command};
use tombolo_core::ProxyKind;
use tombolo_proto::{
    Resource, ResourceType,
    envoy::envoy::config::{
        bootstrap::v3::{
            Bootstrap,
            bootstrap::{DynamicResources, StaticResources},
        },
        cluster::v3::Cluster,
        core::v3::{
            Address, ApiConfigSource, ApiVersion, GrpcService, Node, SocketAddress, address,
            api_config_source::ApiType, grpc_service, socket_address::PortSpecifier,
        },
        listener::v3::{Filter, FilterChain, Listener, filter},
    },
    envoy::envoy::extensions::filters::{
        http::router::v3::Router,
        network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
        },
    },
    envoy::google::protobuf::{Any, BoolValue},
};

/// One service of each kind that makes a cluster or a listener of its own kind.
const EVERY_KIND: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  clusterIP: 10.1.0.1
  sessionAffinity: ClientIP
  ports: [{name: http, port: 80}, {name: grpc, port: 81}, {name: tcp, port: 82}, {name: https, port: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: named, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: named, namespace: shop, labels: {kubernetes.io/service-name: named}}
addressType: FQDN
ports: [{name: http, port: 80}]
endpoints: [{addresses: [a.example.com]}, {addresses: [b.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: shop}
spec: {hosts: [dns.example.com], resolution: DNS, ports: [{number: 80, name: http}, {number: 443, name: tls}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: round-robin, namespace: shop}
spec: {hosts: [rr.example.com], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http2}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nobody, namespace: shop}
spec: {hosts: [no.example.com], resolution: DNS_ROUND_ROBIN, workloadSelector: {labels: {app: none}}, ports: [{number: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dynamic, namespace: shop}
spec: {hosts: ['*.example.net'], resolution: DYNAMIC_DNS, ports: [{number: 8080, name: http}, {number: 443, name: tls}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: none, namespace: shop}
spec: {hosts: [none.example.org], addresses: [10.8.0.0/16, '2001:db8::/64'], resolution: NONE, ports: [{number: 443, name: tcp}, {number: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: six, namespace: shop}
spec: {hosts: [six.example.org], addresses: ['2001:db8::1'], resolution: STATIC, ports: [{number: 90, name: tcp}], endpoints: [{address: '2001:db8::2', weight: 4294967295}, {address: '2001:db8::3', weight: 4294967295}, {address: 'unix:///run/x.sock', locality: a/b/c, serviceAccount: x}]}
";

fn envoy() -> Option<PathBuf> {
    let cache = env::home_dir()?.join(".cache/tombolo/envoy-venv/lib");
    let fetched = || {
        let pythons = fs::read_dir(cache).ok()?.flatten();
        pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.is_file())
    };
    env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(fetched)
}

fn bootstrap(clusters: Vec<Cluster>, listeners: Vec<Listener>) -> Bootstrap {
    let google = grpc_service::EnvoyGrpc { cluster_name: "xds".into(), ..Default::default() };
    let service =
        GrpcService { target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(google)), ..Default::default() };
    let ads = ApiConfigSource {
        api_type: ApiType::DeltaGrpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        ..Default::default()
    };
    let xds = Cluster { name: "xds".into(), ..Default::default() };
    Bootstrap {
        node: Some(Node {
            id: "sidecar~10.0.0.1~a.shop~cluster.local".into(),
            cluster: "a".into(),
            ..Default::default()
        }),
        static_resources: Some(StaticResources {
            clusters: clusters.into_iter().chain([xds]).collect(),
            listeners,
            ..Default::default()
        }),
        dynamic_resources: Some(DynamicResources { ads_config: Some(ads), ..Default::default() }),
        ..Default::default()
    }
}

/// A cluster with these endpoints inline: EDS itself is not read by `--mode validate`.
fn static_cluster(assignment: &Resource) -> Cluster {
    Cluster {
        name: format!("static {}", assignment.name()),
        load_assignment: Some(Message::decode(assignment.value()).unwrap()),
        ..Default::default()
    }
}

/// A listener with this route table inline, likewise.
fn with_table(table: &Resource) -> Listener {
    let manager = HttpConnectionManager {
        stat_prefix: table.name().to_string(),
        route_specifier: Some(RouteSpecifier::RouteConfig(Message::decode(table.value()).unwrap())),
        http_filters: vec![HttpFilter {
            name: "envoy.filters.http.router".into(),
            config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router::default()))),
            ..Default::default()
        }],
        ..Default::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&manager))),
    };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    let socket = SocketAddress {
        address: "127.0.0.1".into(),
        port_specifier: Some(PortSpecifier::PortValue(table.name().parse().unwrap())),
        ..Default::default()
    };
    Listener {
        name: format!("table {}", table.name()),
        address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }),
        bind_to_port: Some(BoolValue { value: false }),
        filter_chains: vec![chain],
        ..Default::default()
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

#[test]
fn envoy_takes_all_that_is_made() {
    let Some(envoy) = envoy() else {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI needs an Envoy: set ENVOY_BIN");
        println!("skipped, needs Envoy: set ENVOY_BIN, or run `make envoy`");
        return;
    };
    let mut world = world(EVERY_KIND);
    world.connect(&["shop"]);
    assert!(world.engine.problems().is_empty(), "{:?}", world.engine.problems());
    let scopes =
        crate::scopes(ProxyKind::Sidecar, "shop", "", &crate::Variant::default(), crate::Interception::Captured);
    let seen = |kind| world.seen(&scopes, kind).into_values();
    let clusters: Vec<Cluster> = seen(ResourceType::Cluster).map(|r| Cluster::decode(r.value()).unwrap()).collect();
    let listeners: Vec<Listener> = seen(ResourceType::Listener).map(|r| Listener::decode(r.value()).unwrap()).collect();
    assert_eq!((clusters.len(), listeners.len()), (17, 9));
    let clusters = clusters.into_iter().chain(seen(ResourceType::Endpoints).map(|r| static_cluster(&r))).collect();
    let listeners = listeners.into_iter().chain(seen(ResourceType::Routes).map(|r| with_table(&r))).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bootstrap.pb"); // by its ending Envoy knows the format
    fs::write(&file, bootstrap(clusters, listeners).encode_to_vec()).unwrap();
    let output =
        Command::new(envoy).args(["--mode", "validate", "--log-level", "warn", "-c"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("deprecated"), "{said}");
}
