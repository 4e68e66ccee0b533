use super::*;
use tombolo_api::Kind;
use tombolo_core::SourceId;

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
