//! Health reports over real sockets: they reach the port in order, and those with a number are acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test's helpers fail as tests do
#![allow(unreachable_pub, dead_code)] // what one of the test binaries does not use, the other does

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use support::{
    Everyone,
    client::{Client, delta, names, node},
    publish,
    resources::cluster,
    until, within,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tombolo_proto::{
    ResourceType,
    agent::{HEALTH, HEALTH_REPORT},
    envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest},
        google::rpc::Status,
    },
};
use tombolo_xds::{Config, Health, Hub, Peer, TakeHealth, TakingHealth, serve};
use tonic::Code;

/// Writes down what it takes, and takes no more than it is allowed to.
#[derive(Clone)]
struct Ledger {
    taken: Arc<Mutex<Vec<(String, Health)>>>,
    allowed: Arc<Semaphore>,
}

impl Ledger {
    fn new(allowed: usize) -> Self {
        Self { taken: Arc::default(), allowed: Arc::new(Semaphore::new(allowed)) }
    }

    fn taken(&self) -> Vec<(String, Health)> {
        self.taken.lock().unwrap().clone()
    }
}

impl TakeHealth for Ledger {
    fn take(&self, node: &str, peer: Option<&Peer>, report: Health) -> TakingHealth {
        assert_eq!(peer, None, "plaintext proves nothing");
        self.taken.lock().unwrap().push((node.to_owned(), report.clone()));
        let allowed = self.allowed.clone();
        Box::pin(async move {
            allowed.acquire().await.unwrap().forget();
            Ok(report.sequence)
        })
    }
}

async fn start(ledger: &Ledger) -> (Hub, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Hub::with_health(Config::default(), Everyone, ledger.clone());
    hub.open();
    tokio::spawn(serve(listener, hub.clone(), std::future::pending()));
    (hub, address)
}

fn report(sequence: &str, error: Option<&str>) -> DeltaDiscoveryRequest {
    let error_detail = error.map(|message| Status { code: 13, message: message.into(), ..Default::default() });
    let (type_url, response_nonce) = (HEALTH_REPORT.to_owned(), sequence.to_owned());
    DeltaDiscoveryRequest { node: node("test"), type_url, response_nonce, error_detail, ..Default::default() }
}

#[tokio::test]
async fn reports_are_acknowledged_in_order_on_either_protocol() {
    let ledger = Ledger::new(100);
    let (_, address) = start(&ledger).await;
    let mut client = Client::delta(address).await;
    client.send(&report("1", Some("refused")));
    client.send(&report("2", None));
    for sequence in ["1", "2"] {
        let answer = client.next().await;
        assert_eq!((answer.type_url.as_str(), answer.nonce.as_str()), (HEALTH_REPORT, sequence));
        assert!(answer.resources.is_empty() && answer.removed_resources.is_empty());
    }
    let mut client = Client::world(address).await;
    let type_url = HEALTH_REPORT.to_owned();
    client.send(&DiscoveryRequest { node: node("w"), type_url, response_nonce: "7".into(), ..Default::default() });
    let answer = client.next_world().await;
    assert_eq!((answer.type_url.as_str(), answer.nonce.as_str()), (HEALTH_REPORT, "7"));
    let heard = |node: &str, sequence, healthy: Result<(), &str>| {
        (node.to_owned(), Health { sequence: Some(sequence), healthy: healthy.map_err(str::to_owned) })
    };
    let expected = [heard("test", 1, Err("refused")), heard("test", 2, Ok(())), heard("w", 7, Ok(()))];
    assert_eq!(ledger.taken(), expected);
}

#[tokio::test]
async fn istios_reports_are_heard_and_not_answered() {
    let ledger = Ledger::new(100);
    let (hub, address) = start(&ledger).await;
    publish(&hub, [cluster("a", 1)]);
    let mut client = Client::delta(address).await;
    let error_detail = Some(Status { code: 13, message: "x".repeat(4000), ..Default::default() });
    client.send(&DeltaDiscoveryRequest {
        node: node("test"),
        type_url: HEALTH.into(),
        error_detail,
        ..Default::default()
    });
    client.ask(ResourceType::Cluster, &[]);
    assert_eq!(names(&client.next().await), ["a"], "the first answer is to the second request");
    let reason = "x".repeat(1024);
    assert_eq!(ledger.taken(), [("test".to_owned(), Health { sequence: None, healthy: Err(reason) })]);
}

/// A report that takes long holds up the requests behind it, so that there is never more than one; what is published comes through.
#[tokio::test]
async fn one_report_at_a_time_is_taken_in_and_config_is_not_held_up() {
    let ledger = Ledger::new(0);
    let (hub, address) = start(&ledger).await;
    publish(&hub, [cluster("a", 1)]);
    let mut client = Client::delta(address).await;
    client.send(&delta(ResourceType::Cluster, &[]));
    let first = client.next().await;
    client.ack(&first);
    (1..=50).for_each(|sequence| client.send(&report(&sequence.to_string(), None)));
    until("the first report has come", || ledger.taken().len() == 1).await;
    publish(&hub, [cluster("b", 1)]);
    assert_eq!(names(&client.next().await), ["b"]);
    assert_eq!(ledger.taken().len(), 1);
    ledger.allowed.add_permits(50);
    for sequence in 1..=50 {
        assert_eq!(client.next().await.nonce, sequence.to_string());
    }
}

#[tokio::test]
async fn a_report_without_a_number_ends_the_stream() {
    let ledger = Ledger::new(100);
    let (_, address) = start(&ledger).await;
    for nonce in ["", "one", "-1", "18446744073709551616"] {
        let mut client = Client::delta(address).await;
        client.send(&report(nonce, None));
        let (code, message) = within(client.receive::<DeltaDiscoveryResponse>()).await.unwrap_err();
        assert_eq!(Code::from_i32(code), Code::InvalidArgument, "{message}");
    }
    assert_eq!(ledger.taken(), []);
}
