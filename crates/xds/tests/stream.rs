//! Streams over real sockets: both protocols, the limits, and the ends that a stream can come to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test's helpers fail as tests do
#![allow(unreachable_pub, dead_code)] // what one of the test binaries does not use, the other does

mod support;

use prost::Message;
use std::time::Duration;
use support::{
    Server,
    client::{Client, DELTA, Freezable, delta, names, node, world},
    resources::{cluster, endpoints, name},
    until, within,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tombolo_core::InstanceId;
use tombolo_proto::{
    Part, Resource, ResourceType,
    agent::NameTable,
    envoy::envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    },
};
use tombolo_xds::{Config, Hub, Limits, Metrics, Refusal, Timing, serve_connection};
use tonic::Code;

/// A resource of so many bytes.
fn large(name: &str, bytes: usize) -> Resource {
    let part = Part::from_bytes(vec![b'x'; bytes].into(), Vec::new());
    Resource::assemble(ResourceType::Secret, name, vec![std::sync::Arc::new(part)])
}

async fn refusal(client: &mut Client) -> (Code, String) {
    let (code, message) = client.receive::<DeltaDiscoveryResponse>().await.unwrap_err();
    (Code::from_i32(code), message)
}

#[tokio::test]
async fn nothing_is_answered_before_the_hub_is_open() {
    let server = Server::closed(Config::default(), 0).await;
    let mut client = Client::delta(server.address).await;
    client.ask(ResourceType::Cluster, &[]);
    until("it is connected", || server.hub.proxies().len() == 1).await;
    server.publish([cluster("a", 1)]);
    server.publish([cluster("b", 1)]);
    assert_eq!(server.hub.metrics().responses(ResourceType::Cluster), 0);
    server.hub.open();
    assert_eq!(names(&client.next().await), ["a", "b"]);
}

#[tokio::test]
async fn delta_end_to_end() {
    let server = Server::start(Config::default()).await;
    let clusters = ["a", "b"].map(|name| cluster(name, 1));
    let version = clusters[0].version().to_string();
    server.publish(clusters);
    let mut client = Client::delta(server.address).await;
    client.ask(ResourceType::Cluster, &[]);
    let first = client.next().await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first.type_url, ResourceType::Cluster.url());
    assert_eq!(first.resources.iter().find(|r| r.name == "a").unwrap().version, version);
    client.ack(&first);
    server.remove(ResourceType::Cluster, "a");
    let second = client.next().await;
    assert_eq!(second.removed_resources, ["a"]);
    assert_ne!(second.nonce, first.nonce);
    client.nack(&second, "no");
    until("it is counted", || server.hub.metrics().nacks(ResourceType::Cluster) == 1).await;
    client.finish();
    assert_eq!(refusal(&mut client).await.0, Code::Ok);
    until("it is forgotten", || server.hub.proxies().is_empty()).await;
    server.stop().await;
}

/// Who they are is what the front has found out: here, what a header says.
#[tokio::test]
async fn an_instance_that_is_refused_loses_its_streams_and_nobody_else_does() {
    let server = Server::asking(Config::default()).await;
    server.publish([cluster("a", 1)]);
    let [mut one, mut other, mut elsewhere] = [
        Client::as_instance(server.address, "shop", "m1").await,
        Client::as_instance(server.address, "shop", "m2").await,
        Client::as_instance(server.address, "other", "m1").await,
    ];
    for client in [&mut one, &mut other, &mut elsewhere] {
        client.ask(ResourceType::Cluster, &[]);
        assert_eq!(names(&client.next().await), ["a"]);
    }
    let instance = InstanceId::parse("m1").unwrap();
    let refusal = Refusal::Denied("revoked".into());
    assert_eq!(server.hub.refuse("shop", &instance, &refusal), 1);
    assert_eq!(self::refusal(&mut one).await, (Code::PermissionDenied, "revoked".to_owned()));
    until("it is forgotten", || server.hub.proxies().len() == 2).await;
    assert_eq!(server.hub.refuse("shop", &instance, &refusal), 0);
    server.publish([cluster("b", 1)]);
    for client in [&mut other, &mut elsewhere] {
        assert_eq!(names(&client.next().await), ["b"]);
    }
}

#[tokio::test]
async fn state_of_the_world_end_to_end() {
    let server = Server::start(Config::default()).await;
    server.publish([endpoints("a", 1), endpoints("b", 1)]);
    let mut client = Client::world(server.address).await;
    client.send(&world(ResourceType::Endpoints, &["a", "b"]));
    let first = client.next_world().await;
    assert_eq!(first.resources.len(), 2);
    let answer = |response_nonce: String, version_info: String| DiscoveryRequest {
        response_nonce,
        version_info,
        ..world(ResourceType::Endpoints, &["a", "b"])
    };
    client.send(&answer(first.nonce, first.version_info));
    server.publish([endpoints("a", 2)]);
    let second = client.next_world().await;
    assert_eq!(second.resources.len(), 1);
    client.send(&answer(second.nonce, second.version_info.clone()));
    until("it is answered", || server.hub.metrics().acks(ResourceType::Endpoints) == 2).await;

    let before = server.resource_bytes();
    let mut again = Client::world(server.address).await;
    again.send(&answer(String::new(), second.version_info));
    until("it is back", || server.hub.proxies().iter().filter(|p| !p.types.is_empty()).count() == 2).await;
    assert_eq!(server.resource_bytes(), before);
    server.publish([endpoints("b", 3)]);
    assert_eq!(again.next_world().await.resources.len(), 1);
    server.stop().await;
}

/// Names `0.example.com` and so on.
fn thousand_names() -> impl Iterator<Item = Resource> {
    (0..1000).map(|i| name(&format!("{i}.example.com"), "10.0.0.1"))
}

#[tokio::test]
async fn a_changed_name_moves_one_name() {
    let server = Server::start(Config::default()).await;
    server.publish(thousand_names());
    let mut client = Client::delta(server.address).await;
    client.ask(ResourceType::Name, &["*"]);
    // A few at a time: an agent need not hold a response as large as the mesh.
    let mut told = 0;
    while told < 1000 {
        let response = client.next().await;
        assert!(response.resources.len() <= 250, "{}", response.resources.len());
        told += response.resources.len();
        client.ack(&response);
    }
    server.publish([name("7.example.com", "10.0.0.2")]);
    let second = client.next().await;
    assert_eq!(names(&second), ["7.example.com"]);
    assert!(second.encoded_len() < 1000, "{} bytes", second.encoded_len());
    server.stop().await;
}

/// As Istio's agent does it, in either protocol: it asks for no names at all.
#[tokio::test]
async fn all_names_come_in_one_table_to_who_asks_for_that() {
    let server = Server::start(Config::default()).await;
    server.publish(thousand_names());
    let (mut by_delta, mut by_world) = (Client::delta(server.address).await, Client::world(server.address).await);
    by_delta.ask(ResourceType::NameTable, &[]);
    by_world.send(&world(ResourceType::NameTable, &[]));
    for ip in ["10.0.0.1", "10.0.0.2"] {
        server.publish([name("7.example.com", ip)]);
        let (one, other) = (by_delta.next().await, by_world.next_world().await);
        let [resource] = &*one.resources else { panic!("{} resources", one.resources.len()) };
        let value = resource.resource.clone().unwrap();
        assert_eq!(*other.resources, std::slice::from_ref(&value)[..], "both protocols say the same");
        assert_eq!(
            (&*value.type_url, &*one.type_url, &*other.type_url),
            (ResourceType::NameTable.url(), ResourceType::NameTable.url(), ResourceType::NameTable.url())
        );
        let table = NameTable::decode(&*value.value).unwrap().table;
        assert_eq!(table.len(), 1000);
        assert_eq!(table["7.example.com"].ips, [ip]);
        client_answers(&mut by_delta, &mut by_world, &one, other);
    }
    until("both are acknowledged", || server.hub.metrics().acks(ResourceType::NameTable) == 4).await;
    server.stop().await;
}

fn client_answers(delta: &mut Client, by_world: &mut Client, one: &DeltaDiscoveryResponse, other: DiscoveryResponse) {
    delta.ack(one);
    let (response_nonce, version_info) = (other.nonce, other.version_info);
    by_world.send(&DiscoveryRequest { response_nonce, version_info, ..world(ResourceType::NameTable, &[]) });
}

#[tokio::test]
async fn large_and_small_resources_arrive_whole() {
    let server = Server::start(Config::default()).await;
    let sizes = [0, 1, 4095, 4096, 70_000, 3_000_000, 10];
    server.publish(sizes.iter().map(|size| large(&size.to_string(), *size)));
    let mut client = Client::over(TcpStream::connect(server.address).await.unwrap(), DELTA, 65_535).await;
    client.ask(ResourceType::Secret, &["*"]);
    let response = client.next().await;
    assert_eq!(response.resources.len(), sizes.len());
    for resource in response.resources {
        assert_eq!(resource.name, resource.resource.unwrap().value.len().to_string());
    }
    assert_eq!(server.hub.metrics().resources(ResourceType::Secret), sizes.len() as u64);
    server.stop().await;
}

#[tokio::test]
async fn any_stream_of_bytes_will_do() {
    let hub = Hub::new(Config::default(), support::Everyone);
    hub.open();
    support::publish(&hub, [cluster("a", 1)]);
    let (near, far) = tokio::io::duplex(1 << 16);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve_connection(far, hub.clone(), stop.clone()));
    let mut client = Client::over(near, DELTA, 65_535).await;
    client.ask(ResourceType::Cluster, &[]);
    assert_eq!(names(&client.next().await), ["a"]);
    stop.cancel();
    hub.shed().await;
    assert_eq!(refusal(&mut client).await.0, Code::Unavailable);
    within(task).await.unwrap();
}

#[tokio::test]
async fn each_refusal_says_why() {
    let limits = Limits { connections: 1, subscriptions: 2, message_bytes: 1000 };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    type Send = Box<dyn Fn(&mut Client)>;
    let cases: [(&str, Send, Code, &str); 5] = [
        ("unserved", Box::new(|_| {}), Code::Unimplemented, "unserved"),
        (
            DELTA,
            Box::new(|c| c.send(&DeltaDiscoveryRequest { node: node("refused"), ..Default::default() })),
            Code::PermissionDenied,
            "refused",
        ),
        (DELTA, Box::new(|c| c.send(&DeltaDiscoveryRequest::default())), Code::InvalidArgument, "node"),
        (
            DELTA,
            Box::new(|c| c.ask(ResourceType::Endpoints, &["a", "b", "c"])),
            Code::ResourceExhausted,
            "limits.subscriptions",
        ),
        (
            DELTA,
            Box::new(|c| c.ask(ResourceType::Endpoints, &[&"x".repeat(2000)])),
            Code::ResourceExhausted,
            "limits.message_bytes",
        ),
    ];
    for (method, send, code, word) in cases {
        let mut client = Client::connect(server.address, method).await;
        send(&mut client);
        let (got, message) = refusal(&mut client).await;
        assert_eq!(got, code, "{message}");
        assert!(message.contains(word), "{message}");
        until("its place is free", || server.hub.proxies().is_empty()).await;
    }
    let mut one = Client::delta(server.address).await;
    one.ask(ResourceType::Cluster, &[]);
    one.next().await;
    let (code, message) = refusal(&mut Client::delta(server.address).await).await;
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("limits.connections"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn who_reads_nothing_is_cut_and_nobody_else() {
    let timing = Timing { stall: Duration::from_millis(300), ..Timing::default() };
    let server = Server::start(Config { timing, ..Config::default() }).await;
    server.publish([large("large", 1 << 20)]);
    let mut reader = Client::delta(server.address).await;
    reader.ask(ResourceType::Secret, &["large"]);
    let response = reader.next().await;
    reader.ack(&response);
    let mut slow = Client::over(TcpStream::connect(server.address).await.unwrap(), DELTA, 1000).await;
    slow.ask(ResourceType::Secret, &["large"]);
    until("both are there", || server.hub.proxies().len() == 2).await;
    until("one is cut", || server.hub.proxies().len() == 1).await;
    server.publish([large("large", 10)]);
    assert_eq!(reader.next().await.resources[0].resource.as_ref().unwrap().value.len(), 10);
    server.stop().await;
}

#[tokio::test]
async fn who_is_dead_is_cut() {
    let timing = Timing {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(100),
        ..Timing::default()
    };
    let server = Server::start(Config { timing, ..Config::default() }).await;
    let (io, freeze) = Freezable::new(TcpStream::connect(server.address).await.unwrap());
    let mut client = Client::over(io, DELTA, 65_535).await;
    client.ask(ResourceType::Cluster, &[]);
    client.next().await;
    freeze.cancel();
    until("it is cut", || server.hub.proxies().is_empty()).await;
    let mut registry = prometheus_client::registry::Registry::default();
    Metrics::register(&server.hub, &mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"tombolo_xds_cut_total{reason="silent"} 1"#), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_returns() {
    let timing = Timing { drain: Duration::from_millis(200), ..Timing::default() };
    let server = Server::start(Config { timing, ..Config::default() }).await;
    server.publish([cluster("a", 1)]);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::delta(server.address).await;
        client.ask(ResourceType::Cluster, &[]);
        client.next().await;
        clients.push(client);
    }
    let address = server.address;
    server.stop().await;
    for mut client in clients {
        let (code, message) = refusal(&mut client).await;
        assert_eq!(code, Code::Unavailable, "{message}");
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_each_proxy_was_told_can_be_seen() {
    let server = Server::start(Config::default()).await;
    let a = cluster("a", 1);
    let version = a.version().to_string();
    server.publish([a, cluster("b", 1)]);
    let mut client = Client::delta(server.address).await;
    client.ask(ResourceType::Cluster, &[]);
    let first = client.next().await;
    client.nack(&first, "cluster b: no good");
    let rest = client.next().await;
    client.ack(&rest);
    let bad = client.next().await;
    assert_eq!((names(&rest), names(&bad)), (vec!["a"], vec!["b"]));
    client.nack(&bad, "cluster b: no good");
    until("it is found", || server.hub.rejections().len() == 1).await;
    let proxies = serde_json::to_value(server.hub.proxies()).unwrap();
    assert_eq!(proxies[0]["proxy"], "test");
    assert_eq!(proxies[0]["protocol"], "delta");
    assert_eq!(proxies[0]["scopes"][0], "public");
    let cds = &proxies[0]["types"][0];
    assert_eq!(
        (&cds["type"], &cds["wildcard"], &cds["unanswered"]),
        (&"cds".into(), &true.into(), &serde_json::json!([]))
    );
    assert_eq!(
        (&cds["rejected"][0]["name"], &cds["rejected"][0]["message"]),
        (&"b".into(), &"cluster b: no good".into())
    );
    let resources = server.hub.resources(server.hub.proxies()[0].connection);
    assert_eq!((&*resources[0].name, resources[0].held.as_deref()), ("a", Some(&*version)));
    assert_eq!((&*resources[1].name, resources[1].held.as_deref()), ("b", None));
    client.finish();
    until("it is forgotten", || server.hub.rejections().is_empty()).await;
    server.stop().await;
}

#[tokio::test]
async fn delta_requests_of_a_type_that_is_not_served_harm_nobody() {
    let server = Server::start(Config::default()).await;
    server.publish([cluster("a", 1)]);
    let mut client = Client::delta(server.address).await;
    client.send(&DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/unheard.of".into(),
        ..delta(ResourceType::Cluster, &[])
    });
    client.ask(ResourceType::Cluster, &[]);
    assert_eq!(names(&client.next().await), ["a"]);
    server.stop().await;
}
