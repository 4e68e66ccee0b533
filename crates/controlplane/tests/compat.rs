//! The wire protocol of Istio's agents, spoken by a client that knows nothing else: certificates by token and by certificate, config
//! in both protocols, names, health. And what it may not have.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

#[path = "compat/client.rs"]
mod client;
#[path = "compat/mesh.rs"]
mod mesh;
#[path = "compat/rejections.rs"]
mod rejections;
#[path = "compat/stream.rs"]
mod stream;
#[path = "compat/wire.rs"]
mod wire;

use client::{Certificate, Proof};
use mesh::{Mesh, spec};
use prost::Message;
use std::time::SystemTime;
use stream::{Delta, World, gateway, node};
use tombolo_ca::LocalIssuer;
use tombolo_proto::envoy::{
    envoy::config::{
        core::v3::HealthStatus,
        endpoint::v3::{ClusterLoadAssignment, LbEndpoint},
    },
    envoy::service::discovery::v3::DeltaDiscoveryResponse,
};
use tonic::Code;
use wire::{CLUSTER, ENDPOINTS, HEALTH_REPORT, NAME_TABLE, NameTable, SECRET};

const DB: &str = "outbound|5432||db.shop.example";
const ID: &str = "spiffe://cluster.local/ns/shop/sa/db";

const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.shop.example]
  addresses: [10.9.0.1]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: STATIC
  workloadSelector: {labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1, namespace: shop}
spec: {address: 127.0.0.22, serviceAccount: web, labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-9, namespace: other}
spec: {address: 127.0.0.29, serviceAccount: db}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: tombolo
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: edge}]}}
";
const DB_1: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-1, namespace: shop}
spec: {address: 127.0.0.21, serviceAccount: db, labels: {app: db}}
";

/// The mesh of these tests; the gateway has a certificate of its own.
async fn mesh() -> Mesh {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge", "namespace": "shop"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": cert.pem(), "tls.key": signing_key.serialize_pem()},
    });
    Mesh::start(&[("mesh.yaml", MESH), ("db-1.yaml", DB_1), ("secret.yaml", &secret.to_string())]).await
}

/// The statuses of an assignment's endpoints.
fn health(response: &DeltaDiscoveryResponse) -> Vec<HealthStatus> {
    let [resource] = &response.resources[..] else { panic!("{response:?}") };
    let assignment = ClusterLoadAssignment::decode(&*resource.resource.as_ref().unwrap().value).unwrap();
    assignment.endpoints.iter().flat_map(|group| &group.lb_endpoints).map(LbEndpoint::health_status).collect()
}

#[tokio::test]
async fn a_machine_joins_by_its_token_and_renews_by_its_certificate() {
    let mesh = mesh().await;
    let first = mesh.join("db-1", "shop", "db").await;
    assert!(first.chain.len() >= 2, "the leaf first, the root last");
    let renewing = mesh.connect(&Proof::Certificate(first.clone())).await;
    let second = renewing.certificate(Some(ID)).await.unwrap();
    assert_ne!(first.chain[0], second.chain[0]);
    assert_eq!(first.chain.last(), second.chain.last());
    let connection = mesh.connect(&Proof::Certificate(second)).await;
    let mut stream = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await;
    stream.next().await.unwrap();
}

#[tokio::test]
async fn config_and_names_come_by_delta() {
    let mesh = mesh().await;
    let connection = mesh.joined("db-1", "shop", "db").await;
    let mut stream = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await;
    let clusters = stream.next().await.unwrap();
    assert!(clusters.resources.iter().any(|cluster| cluster.name == DB), "{clusters:?}");
    stream.ask(ENDPOINTS, &[DB]);
    assert_eq!(health(&stream.next().await.unwrap()), [HealthStatus::Unknown]);
    stream.ask(NAME_TABLE, &[]);
    let names = stream.next().await.unwrap();
    let [resource] = &names.resources[..] else { panic!("{names:?}") };
    expect_names(&resource.resource.as_ref().unwrap().value);
}

#[tokio::test]
async fn config_and_names_come_as_the_state_of_the_world() {
    let mesh = mesh().await;
    let token = Proof::Token(mesh.token("db-1", "shop", "db"));
    let connection = mesh.connect(&token).await;
    let mut stream = World::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await;
    let clusters = stream.next(&[]).await.unwrap();
    assert_eq!(clusters.type_url, CLUSTER);
    assert!(!clusters.resources.is_empty());
    stream.ask(ENDPOINTS, &[DB]);
    let assignment = stream.next(&[DB]).await.unwrap();
    let named = |any: &tombolo_proto::envoy::google::protobuf::Any| ClusterLoadAssignment::decode(&*any.value).unwrap();
    assert_eq!(named(&assignment.resources[0]).cluster_name, DB);
    stream.ask(NAME_TABLE, &[]);
    let names = stream.next(&[]).await.unwrap();
    let [table] = &names.resources[..] else { panic!("{names:?}") };
    expect_names(&table.value);
    stream.report(Some("starting"));
    let unhealthy = named(&stream.next(&[DB]).await.unwrap().resources[0]);
    assert_eq!(unhealthy.endpoints[0].lb_endpoints[0].health_status(), HealthStatus::Unhealthy);
}

fn expect_names(table: &[u8]) {
    let NameTable { table } = NameTable::decode(table).unwrap();
    let info = &table["db.shop.example"];
    assert_eq!((&*info.ips, &*info.registry), (&["10.9.0.1".to_owned()][..], "External"), "{table:?}");
}

#[tokio::test]
async fn health_reports_reach_endpoints_and_status_and_outlive_their_stream() {
    let mesh = mesh().await;
    let connection = mesh.joined("db-1", "shop", "db").await;
    let mut stream = Delta::open(&connection, node("db-1", "shop", "NONE"), ENDPOINTS, &[DB]).await;
    stream.next().await.unwrap();
    assert_eq!(mesh.healthy("db-1").await, None);
    // As Istio's agents say it: nothing but its effect comes back.
    stream.report(None, Some("connection refused"));
    assert_eq!(health(&stream.next().await.unwrap()), [HealthStatus::Unhealthy]);
    let unhealthy = Some(("False".to_owned(), "connection refused".to_owned()));
    assert_eq!(mesh.healthy("db-1").await, unhealthy);
    drop((stream, connection));
    let connection = mesh.joined("db-1", "shop", "db").await;
    let mut stream = Delta::open(&connection, node("db-1", "shop", "NONE"), ENDPOINTS, &[DB]).await;
    assert_eq!(health(&stream.next().await.unwrap()), [HealthStatus::Unhealthy], "the last word stays");
    // As ours do: with a number, which is acknowledged, once what follows was published.
    stream.report(Some(4), None);
    let (mut acknowledged, mut seen) = (None, Vec::new());
    while acknowledged.is_none() || seen.is_empty() {
        let response = stream.next().await.unwrap();
        match response.type_url.as_str() {
            HEALTH_REPORT => acknowledged = Some(response.nonce),
            _ => seen = health(&response),
        }
    }
    assert_eq!((acknowledged.as_deref(), seen), (Some("4"), vec![HealthStatus::Unknown]));
    stream.report(Some(3), Some("an old word"));
    assert_eq!(stream.next().await.unwrap().nonce, "4", "the newest counts");
    assert_eq!(mesh.healthy("db-1").await.unwrap().0, "True");
}

#[tokio::test]
async fn nobody_speaks_for_the_workload_of_another() {
    let mesh = mesh().await;
    let connection = mesh.joined("web-1", "shop", "web").await;
    // A captured sidecar may call itself as it likes within its namespace; what it says of others' health is passed over.
    let mut stream = Delta::open(&connection, node("db-1", "shop", "REDIRECT"), ENDPOINTS, &[DB]).await;
    assert_eq!(health(&stream.next().await.unwrap()), [HealthStatus::Unknown]);
    stream.report(Some(9), Some("hah"));
    stream.report(None, Some("hah"));
    stream.ask(CLUSTER, &[]);
    assert_eq!(stream.next().await.unwrap().type_url, CLUSTER, "nothing was acknowledged before");
    assert_eq!(mesh.healthy("db-1").await, None);
}

#[tokio::test]
async fn a_node_is_no_more_than_its_proof() {
    let mesh = mesh().await;
    let certificate = mesh.join("db-1", "shop", "db").await;
    let mut lying = node("db-1", "shop", "NONE");
    lying.id = lying.id.replace("shop", "other");
    lying.metadata.as_mut().unwrap().fields.remove("NAMESPACE");
    let nodes = [
        node("db-1", "other", "NONE"),
        node("web-1", "shop", "NONE"),
        node("nobody", "shop", "NONE"),
        gateway("edge", "shop"),
        lying,
    ];
    for node in nodes {
        let id = node.id.clone();
        let connection = mesh.connect(&Proof::Certificate(certificate.clone())).await;
        let refused = Delta::open(&connection, node, CLUSTER, &[]).await.next().await.unwrap_err();
        assert_eq!(refused.0, Code::PermissionDenied, "{id}: {}", refused.1);
    }
}

#[tokio::test]
async fn a_gateways_keys_are_for_the_gateway_alone() {
    let mesh = mesh().await;
    let secrets = mesh.plane.ask(|world| {
        let resources = world.engine().resources();
        let secrets = resources.filter(|(scope, r)| r.kind().url() == SECRET && scope.as_str().contains("edge"));
        secrets.map(|(_, resource)| resource.name().to_string()).collect::<Vec<_>>()
    });
    let secrets = secrets.await.unwrap();
    let [key] = &secrets[..] else { panic!("the gateway has one key: {secrets:?}") };
    let connection = mesh.joined("web-1", "shop", "web").await;
    let mut stream = Delta::open(&connection, node("web-1", "shop", "NONE"), SECRET, &[key]).await;
    let answer = stream.next().await.unwrap();
    assert!(answer.resources.is_empty(), "{answer:?}");
    // As everything, which Envoy never asks of secrets.
    stream.ask(SECRET, &["*"]);
    stream.ask(CLUSTER, &[]);
    loop {
        let answer = stream.next().await.unwrap();
        assert!(answer.resources.iter().all(|resource| resource.name != *key));
        if answer.type_url == CLUSTER {
            break;
        }
    }
}

#[tokio::test]
async fn tokens_that_prove_nothing_here_get_nothing() {
    let mesh = mesh().await;
    let now = SystemTime::now();
    let issued = |audience, at| mesh.issuer.token(&spec("db-1", "shop", "db", audience), at).unwrap();
    let stranger = LocalIssuer::create("https://elsewhere.example").unwrap();
    let imitator = LocalIssuer::create(mesh.issuer.issuer()).unwrap();
    let foreign = |issuer: &LocalIssuer| issuer.token(&spec("db-1", "shop", "db", "istio-ca"), now).unwrap();
    let cases = [
        ("no proof", Proof::Nothing),
        ("another audience", Proof::Token(issued("vault", now))),
        ("expired", Proof::Token(issued("istio-ca", now - std::time::Duration::from_secs(7200)))),
        ("another issuer", Proof::Token(foreign(&stranger))),
        ("the issuer's name, another key", Proof::Token(foreign(&imitator))),
        ("no token", Proof::Token("nonsense".to_owned())),
    ];
    for (case, proof) in cases {
        let (code, message) = mesh.refusal(&proof, None).await;
        assert_eq!(code, Code::Unauthenticated, "{case}: {message}");
        let connection = mesh.connect(&proof).await;
        let refused = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await.next().await;
        assert_eq!(refused.unwrap_err().0, Code::Unauthenticated, "{case}, config");
    }
}

#[tokio::test]
async fn a_certificate_is_for_who_asks() {
    let mesh = mesh().await;
    let other = Proof::Token(mesh.token("db-9", "other", "db"));
    let own = Proof::Token(mesh.token("db-1", "shop", "db"));
    for (proof, san) in [(&other, ID), (&own, "spiffe://cluster.local/ns/shop/sa/web")] {
        let (code, message) = mesh.refusal(proof, Some(san)).await;
        assert_eq!(code, Code::PermissionDenied, "{message}");
    }
    let connection = mesh.connect(&other).await;
    let refused = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await.next().await;
    assert_eq!(refused.unwrap_err().0, Code::PermissionDenied);
    // What the request does not say comes from the proof: a certificate of that other namespace, good for nothing here.
    let certificate = connection.certificate(None).await.unwrap();
    let connection = mesh.connect(&Proof::Certificate(certificate)).await;
    let refused = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await.next().await;
    assert_eq!(refused.unwrap_err().0, Code::PermissionDenied);
}

#[tokio::test]
async fn a_workload_that_is_no_more_gets_nothing_more() {
    let mesh = mesh().await;
    let token = Proof::Token(mesh.token("db-1", "shop", "db"));
    let certificate: Certificate = mesh.join("db-1", "shop", "db").await;
    mesh.remove("db-1.yaml", "db-1").await;
    for proof in [token, Proof::Certificate(certificate)] {
        let (code, message) = mesh.refusal(&proof, None).await;
        assert_eq!(code, Code::PermissionDenied, "{message}");
        let connection = mesh.connect(&proof).await;
        let refused = Delta::open(&connection, node("db-1", "shop", "NONE"), CLUSTER, &[]).await.next().await;
        assert_eq!(refused.unwrap_err().0, Code::PermissionDenied);
    }
}

/// By its entry, and by its group; another instance of the same namespace goes on.
#[tokio::test]
async fn an_instance_that_is_revoked_loses_its_open_stream() {
    const GROUP: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: dbs, namespace: shop, annotations: {mesh.tombolo.dev/revoked-instances: REVOKED}}
spec: {template: {}}
";
    let mesh = mesh().await;
    let instance = |workload: &str| format!("pod/{}", spec(workload, "shop", "db", "istio-ca").pod.unwrap().uid);
    let annotated = |name: &str, annotation: String| {
        DB_1.replace("db-1", name)
            .replace("namespace: shop", &format!("namespace: shop, annotations: {{{annotation}}}"))
    };
    let of_group = annotated("db-2", "istio.io/autoRegistrationGroup: dbs".to_owned());
    mesh.write("db-2.yaml", &of_group);
    mesh.write("group.yaml", &GROUP.replace("REVOKED", "nobody"));
    mesh.until_there("db-2").await;
    let mut streams = Vec::new();
    for (workload, account) in [("db-1", "db"), ("db-2", "db"), ("web-1", "web")] {
        let connection = mesh.joined(workload, "shop", account).await;
        let mut stream = Delta::open(&connection, node(workload, "shop", "NONE"), CLUSTER, &[]).await;
        stream.next().await.unwrap();
        streams.push((connection, stream));
    }
    mesh.write("db-1.yaml", &annotated("db-1", format!("mesh.tombolo.dev/revoked-instances: {}", instance("db-1"))));
    mesh.write("group.yaml", &GROUP.replace("REVOKED", &instance("db-2")));
    for ((connection, stream), (workload, by)) in
        streams.iter_mut().zip([("db-1", "WorkloadEntry"), ("db-2", "WorkloadGroup")])
    {
        let (code, message) = loop {
            if let Err(refused) = stream.next().await {
                break refused;
            }
        };
        assert_eq!(code, Code::PermissionDenied, "{message}");
        assert!(message.contains("revoked") && message.contains(by), "{message}");
        let again = Delta::open(connection, node(workload, "shop", "NONE"), CLUSTER, &[]).await.next().await;
        assert_eq!(again.unwrap_err().0, Code::PermissionDenied, "on the same connection");
        assert_eq!(connection.certificate(None).await.err().unwrap().0, Code::PermissionDenied);
    }
    let (_, web) = &mut streams[2];
    web.ask(ENDPOINTS, &[DB]);
    while web.next().await.unwrap().type_url != ENDPOINTS {}
}
