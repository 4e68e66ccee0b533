use super::*;
use crate::{Edit, Update};
use serde_json::json;
use std::time::SystemTime;
use tombolo_api::{Kind, manifest};
use tombolo_core::SourceId;
use tombolo_proto::ResourceType;

fn key() -> ObjectKey {
    let name = NamespacedName::new("shop", "db-1");
    ObjectKey { source: SourceId::new("here"), kind: Kind::WorkloadEntry, name }
}

fn report(instance: &str, sequence: Option<u64>, error: Option<&str>) -> HealthReport {
    let peer = Peer {
        id: "spiffe://cluster.local/ns/shop/sa/db".parse().unwrap(),
        instance: Some(InstanceId::parse(instance).unwrap()),
    };
    let health = Health { sequence, healthy: error.map_or(Ok(()), |error| Err(error.to_owned())) };
    HealthReport { workload: key().name, peer: Some(peer), health }
}

/// What is acknowledged, and what translation is told and untold: `true` for healthy.
fn take(book: &mut HealthBook, report: &HealthReport) -> (Option<u64>, Vec<bool>, Vec<bool>) {
    let (counted, Answer { facts, withdrawn }) = book.take(&key(), report);
    let verdicts = |facts: Vec<(Relation, Fact)>| {
        let verdict = |(_, fact)| matches!(fact, Fact::Health(Ok(())));
        facts.into_iter().map(verdict).collect()
    };
    (counted, verdicts(facts), verdicts(withdrawn))
}

#[test]
fn what_is_older_than_the_newest_is_acknowledged_and_changes_nothing() {
    let mut book = HealthBook::default();
    assert_eq!(take(&mut book, &report("m1", Some(3), None)), (Some(3), vec![true], vec![]));
    assert_eq!(take(&mut book, &report("m1", Some(3), None)), (Some(3), vec![], vec![]), "sent again on a reconnect");
    assert_eq!(take(&mut book, &report("m1", Some(2), Some("refused"))), (Some(3), vec![], vec![]));
    assert_eq!(take(&mut book, &report("m1", Some(4), Some("refused"))), (Some(4), vec![false], vec![true]));
}

#[test]
fn numbers_are_an_instances_own() {
    let mut book = HealthBook::default();
    take(&mut book, &report("m1", Some(9), None));
    assert_eq!(take(&mut book, &report("m2", Some(1), Some("starting"))), (Some(1), vec![false], vec![true]));
}

#[test]
fn a_word_without_a_number_always_counts() {
    let mut book = HealthBook::default();
    take(&mut book, &report("m1", Some(9), None));
    assert_eq!(take(&mut book, &report("m1", None, Some("refused"))), (None, vec![false], vec![true]));
    assert_eq!(take(&mut book, &report("m1", None, None)), (None, vec![true], vec![false]));
}

#[test]
fn a_workload_that_comes_back_begins_anew() {
    let mut book = HealthBook::default();
    take(&mut book, &report("m1", Some(9), Some("refused")));
    assert!(matches!(book.forget(&key()), Some((Relation::Health(_), Fact::Health(Err(_))))));
    assert_eq!(book.forget(&key()), None);
    assert_eq!(take(&mut book, &report("m1", Some(1), None)), (Some(1), vec![true], vec![]));
}

/// A world with a service of one workload, `db-1` of ServiceAccount `db`.
fn world() -> World {
    let entry = |kind: &str, name: &str, spec: serde_json::Value| {
        let metadata = json!({"name": name, "namespace": "shop"});
        let document =
            json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec});
        Edit::Apply(manifest::decode(document, None).object.unwrap(), None)
    };
    let service = json!({
        "hosts": ["db.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC", "workloadSelector": {"labels": {"app": "db"}},
    });
    let workload = json!({"address": "10.0.0.1", "labels": {"app": "db"}, "serviceAccount": "db"});
    let mut world = World::default();
    let edits = vec![entry("ServiceEntry", "db", service), entry("WorkloadEntry", "db-1", workload)];
    world.update(key().source, Update { edits, ..Update::default() }, SystemTime::UNIX_EPOCH);
    world
}

/// What is acknowledged, and whether endpoints changed.
fn hear(world: &mut World, report: &HealthReport) -> (Option<u64>, bool) {
    let (counted, applied, changes) = world.hear(report, SystemTime::UNIX_EPOCH);
    let endpoints = changes.iter().any(|change| change.kind == ResourceType::Endpoints);
    assert_eq!(applied.statuses.contains(&key()), endpoints, "what counts is seen in the status too");
    (counted, endpoints)
}

#[test]
fn an_agent_speaks_for_a_workload_of_its_own_account_and_namespace() {
    let mut world = world();
    let by = |id: &str, workload: &str| {
        let mut report = report("m1", Some(1), Some("refused"));
        report.peer.as_mut().unwrap().id = id.parse().unwrap();
        report.workload = NamespacedName::new("shop", workload);
        report
    };
    let others = [
        by("spiffe://cluster.local/ns/shop/sa/web", "db-1"),
        by("spiffe://cluster.local/ns/other/sa/db", "db-1"),
        by("spiffe://cluster.local/ns/shop/sa/db", "db-2"),
    ];
    for other in others {
        assert_eq!(hear(&mut world, &other), (None, false), "{other:?}");
    }
    assert_eq!(hear(&mut world, &by("spiffe://cluster.local/ns/shop/sa/db", "db-1")), (Some(1), true));
}

#[test]
fn where_nobody_is_asked_anybody_speaks() {
    let anybody = HealthReport { peer: None, ..report("m1", Some(1), Some("refused")) };
    assert_eq!(hear(&mut world(), &anybody), (Some(1), true));
}

#[test]
fn what_was_said_goes_with_its_workload() {
    let mut world = world();
    let said = report("m1", Some(7), Some("refused"));
    assert_eq!(hear(&mut world, &said), (Some(7), true));
    let entry = world.snapshot().object(&key()).unwrap().clone();
    for edit in [Edit::Delete(key()), Edit::Apply(entry, None)] {
        world.update(key().source, Update { edits: vec![edit], ..Update::default() }, SystemTime::UNIX_EPOCH);
    }
    assert!(world.workloads().all(|(_, row)| row.healthy));
    assert_eq!(hear(&mut world, &report("m1", Some(1), Some("refused"))), (Some(1), true));
}
