use super::model::{BAD, Model, resource};
use crate::session::{Ask, Held};
use tombolo_proto::{Framing, ResourceType::*, Scope};

fn names(response: &crate::session::Response) -> Vec<&str> {
    let mut names: Vec<_> = response.resources.iter().map(|r| &**r.name()).collect();
    names.sort_unstable();
    names
}

#[test]
fn everything_is_sent_once_and_then_the_difference() {
    let mut m = Model::delta();
    m.publish(&[resource(Cluster, "a", "1", &[]), resource(Cluster, "b", "1", &[])]);
    m.subscribe_all(Cluster);
    assert_eq!(names(&m.read().unwrap()), ["a", "b"]);
    m.publish(&[resource(Cluster, "b", "2", &[]), resource(Cluster, "a", "1", &[])]);
    assert_eq!(names(&m.read().unwrap()), ["b"]);
    m.unpublish(Cluster, "a");
    m.flush();
    assert_eq!(m.read().unwrap().removed, ["a".into()]);
    assert!(m.settle().is_empty());
}

#[test]
fn who_asks_for_everything_is_answered_even_if_there_is_nothing() {
    let mut m = Model::delta();
    m.subscribe_all(Cluster);
    assert!(m.read().unwrap().resources.is_empty());
    assert!(m.settle().is_empty());
}

#[test]
fn a_name_without_endpoints_gets_an_empty_assignment_and_any_other_is_said_to_be_gone() {
    let mut m = Model::delta();
    m.subscribe(Endpoints, &["none"]);
    m.subscribe(Routes, &["none"]);
    assert_eq!(names(&m.read().unwrap()), ["none"]);
    assert_eq!(m.read().unwrap().removed, ["none".into()]);
    m.publish(&[resource(Endpoints, "none", "1", &[])]);
    assert_eq!(names(&m.read().unwrap()), ["none"]);
}

#[test]
fn asking_again_is_answered_again() {
    let mut m = Model::delta();
    m.publish(&[resource(Endpoints, "a", "1", &[])]);
    m.subscribe(Endpoints, &["a"]);
    m.settle();
    m.subscribe(Endpoints, &["a"]);
    assert_eq!(names(&m.read().unwrap()), ["a"]);
}

#[test]
fn who_leaves_a_name_and_keeps_everything_is_told_what_is_there() {
    let mut m = Model::delta();
    m.publish(&[resource(Cluster, "a", "1", &[])]);
    m.subscribe_all(Cluster);
    m.subscribe(Cluster, &["a", "b"]);
    m.settle();
    m.unsubscribe(Cluster, "a");
    m.unsubscribe(Cluster, "b");
    let read = m.settle();
    assert_eq!(read.iter().flat_map(names).collect::<Vec<_>>(), ["a"]);
    assert_eq!(read.iter().flat_map(|r| &r.removed).map(|n| &**n).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn who_leaves_everything_keeps_the_names() {
    let mut m = Model::delta();
    m.publish(&[resource(Cluster, "a", "1", &[]), resource(Cluster, "b", "1", &[])]);
    m.subscribe_all(Cluster);
    m.subscribe(Cluster, &["a"]);
    m.settle();
    let ask = Ask::Delta { subscribe: vec![], unsubscribe: vec!["*".into()], initial: Held::default() };
    m.session.ask(Cluster, ask, &mut m.index, m.now);
    m.publish(&[resource(Cluster, "a", "2", &[]), resource(Cluster, "b", "2", &[])]);
    assert_eq!(m.settle().iter().flat_map(names).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_reconnect_is_sent_the_difference_only() {
    let mut m = Model::delta();
    m.publish(&["a", "b", "c"].map(|name| resource(Cluster, name, "1", &[])));
    m.publish(&["a", "b", "c"].map(|name| resource(Endpoints, name, "1", &[])));
    m.subscribe_all(Cluster);
    m.subscribe(Endpoints, &["a", "b", "c", "none"]);
    m.settle();

    m.reconnect();
    assert!(m.settle().is_empty(), "nothing changed");

    m.session.close(&mut m.index);
    m.publish(&[resource(Cluster, "b", "2", &[]), resource(Cluster, "d", "1", &[])]);
    m.unpublish(Cluster, "c");
    m.reconnect();
    let read = m.settle();
    let clusters: Vec<_> = read.iter().filter(|r| r.kind == Cluster).flat_map(names).collect();
    assert_eq!(clusters, ["b", "d"]);
    assert_eq!(read.iter().flat_map(|r| &r.removed).map(|n| &**n).collect::<Vec<_>>(), ["c"], "vanished");
    let endpoints: Vec<_> = read.iter().filter(|r| r.kind == Endpoints).flat_map(names).collect();
    assert_eq!(endpoints, ["b"], "unchanged, but its cluster is not");
}

#[test]
fn another_class_is_sent_the_difference() {
    let mut m = Model::delta();
    let (mine, public) = (Scope::namespace("x"), Scope::public());
    m.publish(&["a", "b"].map(|name| resource(Cluster, name, "1", &[])));
    m.publish_to(&mine, Cluster, "b", Some(resource(Cluster, "b", "mine", &[])));
    m.publish_to(&mine, Cluster, "c", Some(resource(Cluster, "c", "mine", &[])));
    m.subscribe_all(Cluster);
    m.settle();
    m.reclassify(&[mine, public]);
    assert_eq!(names(&m.read().unwrap()), ["b", "c"]);
    m.reclassify(&[Scope::public()]);
    let read = m.settle();
    assert_eq!(read.iter().flat_map(names).collect::<Vec<_>>(), ["b"]);
    assert_eq!(read.iter().flat_map(|r| &r.removed).map(|n| &**n).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn many_names_come_a_few_at_a_time_and_each_once() {
    let mut m = Model::delta();
    let all: Vec<_> = (0..1234).map(|n| resource(Name, &format!("name-{n}"), "1", &[])).collect();
    m.publish(&all);
    m.subscribe_all(Name);
    let sizes: Vec<usize> = m.settle().iter().map(|response| response.resources.len()).collect();
    assert_eq!(sizes, [250, 250, 250, 250, 234]);
    assert_eq!(m.holds[&Name].len(), all.len());
}

#[test]
fn what_was_left_while_on_its_way_and_is_wanted_again_is_taken_away_when_it_goes() {
    for framing in [Framing::Delta, Framing::StateOfTheWorld] {
        for before in [true, false] {
            let mut m = Model::new(framing);
            m.publish(&[resource(Listener, "b", BAD, &[])]);
            m.subscribe(Listener, &["a"]);
            m.read();
            m.publish(&[resource(Listener, "a", "1", &[])]);
            assert_eq!(m.inbox.len(), 1, "it is on its way");
            m.unsubscribe(Listener, "a");
            if before {
                m.unpublish(Listener, "a");
            }
            m.subscribe_all(Listener);
            m.unpublish(Listener, "a");
            m.settle();
            assert!(m.held(Listener, "a").is_none(), "{framing:?} {before}");
        }
    }
}
