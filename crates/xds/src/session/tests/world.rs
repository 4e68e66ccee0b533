use super::model::{BAD, Model, resource};
use crate::session::Response;
use tombolo_proto::ResourceType::*;

fn names(response: &Response) -> Vec<&str> {
    let mut names: Vec<_> = response.resources.iter().map(|r| &**r.name()).collect();
    names.sort_unstable();
    names
}

#[test]
fn clusters_come_as_a_full_set_and_endpoints_one_by_one() {
    let mut m = Model::world();
    m.publish(&["a", "b"].map(|name| resource(Cluster, name, "1", &[])));
    m.publish(&["a", "b"].map(|name| resource(Endpoints, name, "1", &[])));
    m.subscribe_all(Cluster);
    m.subscribe(Endpoints, &["a", "b"]);
    assert_eq!(names(&m.read().unwrap()), ["a", "b"]);
    assert_eq!(names(&m.read().unwrap()), ["a", "b"]);
    m.publish(&[resource(Endpoints, "a", "2", &[])]);
    assert_eq!(names(&m.read().unwrap()), ["a"]);
    m.unpublish(Cluster, "b");
    m.flush();
    assert_eq!(names(&m.read().unwrap()), ["a"]);
    m.publish(&[resource(Cluster, "a", "2", &[])]);
    assert_eq!(names(&m.read().unwrap()), ["a"]);
    assert_eq!(names(&m.read().unwrap()), ["a"], "the endpoints of a changed cluster again");
    assert!(m.settle().is_empty());
}

#[test]
fn an_unchanged_reconnect_is_answered_by_silence() {
    let mut m = Model::world();
    m.publish(&["a", "b"].map(|name| resource(Cluster, name, "1", &[])));
    m.publish(&["a", "b"].map(|name| resource(Endpoints, name, "1", &[])));
    m.subscribe_all(Cluster);
    m.subscribe(Endpoints, &["a", "b", "none"]);
    m.settle();
    m.publish(&[resource(Endpoints, "a", "2", &[])]);
    m.subscribe(Endpoints, &["c"]);
    m.settle();
    m.unsubscribe(Endpoints, "b");
    m.publish(&[resource(Endpoints, "c", "1", &[])]);
    m.settle();
    m.reconnect();
    assert!(m.settle().is_empty());
    m.publish(&[resource(Endpoints, "c", "2", &[])]);
    assert_eq!(names(&m.read().unwrap()), ["c"]);
    m.session.close(&mut m.index);
    m.publish(&[resource(Cluster, "a", "2", &[])]);
    m.reconnect();
    let read = m.settle();
    assert_eq!(
        read.iter().map(|r| (r.kind, names(r))).collect::<Vec<_>>(),
        [(Cluster, vec!["a", "b"]), (Endpoints, vec!["a"])]
    );
}

#[test]
fn naming_something_ends_naming_nothing() {
    let mut m = Model::world();
    m.publish(&["a", "b"].map(|name| resource(Cluster, name, "1", &[])));
    m.subscribe_all(Cluster);
    m.settle();
    m.wants.get_mut(&Cluster).unwrap().1 = false;
    m.subscribe(Cluster, &["a"]);
    m.settle();
    assert_eq!(m.holds[&Cluster].keys().collect::<Vec<_>>(), ["a"]);
    m.unsubscribe(Cluster, "a");
    m.publish(&[resource(Cluster, "b", "2", &[])]);
    assert!(m.settle().iter().all(|r| r.resources.is_empty()), "naming nothing now means nothing");
}

#[test]
fn a_version_counts_what_is_gone_and_waits_to_be_taken_away() {
    let mut m = Model::world();
    m.publish(&[resource(Cluster, "a", "1", &[])]);
    m.subscribe_all(Cluster);
    m.settle();
    m.reconnect();
    m.unpublish(Cluster, "a");
    m.subscribe(Cluster, &["b"]);
    assert_eq!(names(&m.read().unwrap()), ["a"], "it goes when the client has asked for what may name it");
    m.reconnect();
    m.settle();
    assert!(m.held(Cluster, "a").is_none());
}

#[test]
fn a_name_that_is_left_when_it_is_gone_is_taken_away_whatever_else_is_rejected() {
    let mut m = Model::world();
    m.publish(&[resource(Listener, "b", "1", &[])]);
    m.subscribe_all(Listener);
    m.publish(&[resource(Listener, "c", BAD, &[])]);
    m.subscribe(Listener, &["b"]);
    m.unpublish(Listener, "b");
    m.flush();
    m.unsubscribe(Listener, "b");
    m.settle();
    assert!(m.held(Listener, "b").is_none());
}
