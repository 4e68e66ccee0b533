//! The order of requests, as captured from Envoy.

use super::*;
use crate::generator::testing::{assignment, cluster, listener};
use prost::Message;
use tombolo_proto::envoy::envoy::{
    config::route::v3::RouteConfiguration, service::discovery::v3::DeltaDiscoveryRequest,
};

use ResourceType::{Cluster, Endpoints, Listener, Routes};

/// A session, the catalog of its process, and a nonce that counts.
struct Client {
    session: Session,
    catalog: Catalog,
    nonce: u32,
}

impl Client {
    fn new() -> Self {
        Self { session: Session::new(vec![0x0a, 1, b'n']), catalog: Catalog::default(), nonce: 0 }
    }

    fn open(&mut self) -> Vec<DeltaDiscoveryRequest> {
        decode(&self.session.open(&self.catalog))
    }

    fn respond(&mut self, kind: ResourceType, resources: &[(&str, Vec<u8>)], removed: &[&str]) -> Vec<String> {
        self.nonce += 1;
        let (nonce, mut out) = (self.nonce.to_string(), Vec::new());
        let version = |value: &[u8]| format!("v{}", value.len());
        let versions: Vec<_> = resources.iter().map(|(_, value)| version(value)).collect();
        let entries = resources.iter().zip(&versions);
        let items = [Item::Type(kind.url()), Item::Nonce(&nonce)].into_iter();
        let items = items.chain(
            entries
                .map(|((name, value), version)| Item::Resource(Entry { name, version, type_url: kind.url(), value })),
        );
        for item in items.chain(removed.iter().map(|name| Item::Removed(name))).chain([Item::End]) {
            self.session.receive(item, &mut self.catalog, &mut out).unwrap();
        }
        decode(&out).iter().map(summary).collect()
    }

    /// Two clusters, their assignments, a listener, its route table.
    fn start(&mut self) {
        self.open();
        self.respond(Cluster, &[cds("a", ""), cds("b", "")], &[]);
        self.respond(Endpoints, &[eds("a", 1), eds("b", 1)], &[]);
        self.respond(Listener, &[lds("l", &["80"])], &[]);
        self.respond(Routes, &[rds("80")], &[]);
        assert!(self.session.is_settled());
    }
}

fn decode(requests: &[Bytes]) -> Vec<DeltaDiscoveryRequest> {
    requests.iter().map(|request| DeltaDiscoveryRequest::decode(&request[5..]).unwrap()).collect()
}

/// `eds +a -b`, or `cds ack 1`
fn summary(request: &DeltaDiscoveryRequest) -> String {
    let mut text = ResourceType::from_url(&request.type_url).unwrap().short().to_owned();
    request.resource_names_subscribe.iter().for_each(|name| text += &format!(" +{name}"));
    request.resource_names_unsubscribe.iter().for_each(|name| text += &format!(" -{name}"));
    if !request.response_nonce.is_empty() {
        text += &format!(" ack {}", request.response_nonce);
    }
    text
}

fn cds(name: &'static str, alt_stat_name: &str) -> (&'static str, Vec<u8>) {
    (name, cluster(name, alt_stat_name).encode_to_vec())
}

fn eds(name: &'static str, last: u8) -> (&'static str, Vec<u8>) {
    (name, assignment(name, &[[10, 0, 0, last].into()]).encode_to_vec())
}

fn lds(name: &'static str, tables: &[&str]) -> (&'static str, Vec<u8>) {
    (name, listener(name, tables).encode_to_vec())
}

fn rds(name: &'static str) -> (&'static str, Vec<u8>) {
    (name, RouteConfiguration { name: name.into(), ..Default::default() }.encode_to_vec())
}

#[test]
fn a_first_stream_asks_in_envoys_order() {
    let mut client = Client::new();
    let first = client.open();
    assert_eq!(first.iter().map(summary).collect::<Vec<_>>(), ["cds"]);
    assert_eq!(first[0].node.as_ref().unwrap().id, "n");
    assert_eq!(client.respond(Cluster, &[cds("a", ""), cds("b", "")], &[]), ["eds +a +b", "cds ack 1"]);
    assert_eq!(client.respond(Endpoints, &[eds("a", 1)], &[]), ["eds ack 2"]);
    assert_eq!(client.session.waits_for(&client.catalog), "1 resources of eds, \"b\" among them");
    assert_eq!(client.respond(Endpoints, &[eds("b", 1)], &[]), ["lds", "eds ack 3"]);
    assert_eq!(client.session.waits_for(&client.catalog), "a response of lds");
    assert_eq!(client.respond(Listener, &[lds("l", &["80", "90"])], &[]), ["rds +80 +90", "lds ack 4"]);
    assert!(!client.session.is_settled());
    assert_eq!(client.respond(Routes, &[rds("80")], &["90"]), ["rds ack 5"]);
    assert!(client.session.is_settled());
    assert_eq!(client.session.requests(), 4);
}

#[test]
fn without_clusters_listeners_are_asked_for_at_once() {
    let mut client = Client::new();
    client.open();
    assert_eq!(client.respond(Cluster, &[], &[]), ["lds", "cds ack 1"]);
    assert_eq!(client.respond(Listener, &[lds("l", &[])], &[]), ["lds ack 2"]);
    assert!(client.session.is_settled());
}

#[test]
fn a_new_or_changed_cluster_is_acknowledged_when_its_assignment_has_come() {
    let mut client = Client::new();
    client.start();
    assert_eq!(client.respond(Cluster, &[cds("a", "changed"), cds("c", "")], &[]), ["eds +c"]);
    assert!(!client.session.is_settled());
    assert_eq!(client.respond(Endpoints, &[eds("c", 1)], &[]), ["eds ack 6"]);
    assert_eq!(client.respond(Endpoints, &[eds("a", 1)], &[]), ["eds ack 7", "cds ack 5"]);
    assert!(client.session.is_settled());
    assert_eq!(client.respond(Cluster, &[cds("a", "changed")], &[]), ["cds ack 8"], "an equal cluster stays warm");
}

#[test]
fn what_is_named_no_longer_is_given_up() {
    let mut client = Client::new();
    client.start();
    assert_eq!(client.respond(Cluster, &[], &["a"]), ["eds -a", "cds ack 5"]);
    assert_eq!(client.respond(Endpoints, &[eds("a", 2)], &[]), ["eds ack 6"]);
    let held: Vec<_> = client.session.table(Endpoints).held().collect();
    assert_eq!(held.len(), 1, "what was given up is not taken in");
    assert_eq!(client.respond(Listener, &[lds("l", &["90"])], &[]), ["rds +90 -80", "lds ack 7"]);
}

#[test]
fn a_new_stream_asks_for_everything_at_once_and_says_what_is_held() {
    let mut client = Client::new();
    client.start();
    let burst = client.open();
    assert_eq!(burst.iter().map(summary).collect::<Vec<_>>(), ["cds", "eds +a +b", "lds", "rds +80"]);
    assert_eq!(burst.iter().map(|r| r.node.is_some()).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(burst.iter().map(|r| r.initial_resource_versions.len()).collect::<Vec<_>>(), [2, 2, 1, 1]);
    let version = format!("v{}", eds("a", 1).1.len());
    assert_eq!(burst[1].initial_resource_versions["a"], version);
    assert!(client.session.is_settled(), "nothing needs to be sent");
}

#[test]
fn what_was_not_asked_for_is_an_error() {
    let (mut client, mut out) = (Client::new(), Vec::new());
    client.open();
    let mut receive = |item| client.session.receive(item, &mut client.catalog, &mut out);
    assert!(matches!(receive(Item::Type(Routes.url())), Err(SessionError::NotAsked(_))));
    assert!(matches!(receive(Item::End), Err(SessionError::NoType)));
}
