use super::model::{Model, resource, timing};
use crate::session::Event;
use std::time::Duration;
use tombolo_proto::ResourceType::{self, *};

/// A client that holds cluster `old` and routes to it, and has answered everything.
fn routed() -> Model {
    let mut m = Model::delta();
    m.publish(&[
        resource(Cluster, "old", "1", &[]),
        resource(Endpoints, "old", "1", &[]),
        resource(Routes, "80", "1", &[(Cluster, "old")]),
        resource(Routes, "90", "1", &[(Cluster, "old")]),
    ]);
    m.subscribe_all(Cluster);
    m.subscribe(Endpoints, &["old"]);
    m.subscribe_all(Listener);
    m.subscribe(Routes, &["80", "90"]);
    m.settle();
    m
}

fn due(m: &Model) -> Vec<(ResourceType, usize, usize)> {
    m.inbox.iter().map(|r| (r.kind, r.resources.len(), r.removed.len())).collect()
}

#[test]
fn a_route_waits_for_its_new_cluster_and_the_old_cluster_for_the_route() {
    let mut m = routed();
    m.unpublish(Cluster, "old");
    m.publish(&[
        resource(Cluster, "new", "1", &[]),
        resource(Routes, "80", "2", &[(Cluster, "new")]),
        resource(Routes, "90", "2", &[(Cluster, "other")]),
    ]);
    assert_eq!(due(&m), [(Cluster, 1, 0), (Routes, 1, 0)], "the new cluster, and the route that needs no new one");
    let (clusters, routes) = (m.inbox[0].nonce, m.inbox[1].nonce);
    m.inbox.clear();
    m.session.answered(Routes, routes, None, m.now);
    m.flush();
    assert_eq!(due(&m), [], "route 80 still goes to the old cluster");
    m.session.answered(Cluster, clusters, None, m.now);
    m.flush();
    assert_eq!(due(&m), [(Routes, 1, 0)]);
    m.read();
    assert_eq!(due(&m), [(Cluster, 0, 1)]);
}

#[test]
fn a_held_route_is_replaced_by_a_later_one_that_need_not_wait() {
    let mut m = routed();
    m.publish(&[resource(Cluster, "new", "1", &[]), resource(Routes, "80", "2", &[(Cluster, "new")])]);
    assert_eq!(due(&m), [(Cluster, 1, 0)]);
    m.publish(&[resource(Routes, "80", "3", &[(Cluster, "old")])]);
    assert_eq!(due(&m), [(Cluster, 1, 0), (Routes, 1, 0)]);
}

#[test]
fn a_route_waits_no_longer_than_it_may() {
    let mut m = routed();
    m.publish(&[resource(Cluster, "new", "1", &[]), resource(Routes, "80", "2", &[(Cluster, "new")])]);
    m.advance(timing().warm - Duration::from_millis(1));
    assert_eq!(due(&m), [(Cluster, 1, 0)]);
    assert_eq!(m.session.wake_at(), Some(m.now + Duration::from_millis(1)));
    assert_eq!(m.session.waiting(Routes, m.now).len(), 1);
    m.advance(Duration::from_millis(1));
    assert_eq!(due(&m), [(Cluster, 1, 0), (Routes, 1, 0)]);
    assert!(m.events.contains(&Event::WaitedInVain { kind: Routes, name: "80".into(), clusters: vec!["new".into()] }));
}

#[test]
fn a_cluster_that_never_warms_freezes_nothing() {
    let mut m = routed();
    m.publish(&[resource(Cluster, "cold", "1", &[])]);
    // No answer to that one, ever. Endpoints and routes go on at once, clusters after the bound.
    m.inbox.clear();
    m.publish(&[resource(Endpoints, "old", "2", &[]), resource(Routes, "90", "2", &[(Cluster, "old")])]);
    assert_eq!(due(&m), [(Endpoints, 1, 0), (Routes, 1, 0)]);
    m.read();
    m.read();
    for round in 2..20 {
        m.publish(&[resource(Cluster, "old", &round.to_string(), &[])]);
        assert_eq!(due(&m), []);
        m.advance(timing().coalesce);
        assert_eq!(due(&m), [(Cluster, 1, 0), (Endpoints, 1, 0)]);
        m.inbox.pop_front();
        m.read();
    }
    let unanswered = &m.session.channel(Cluster).unwrap().flights;
    assert!(unanswered.len() <= 4, "bounded: {}", unanswered.len());
}

#[test]
fn changes_are_gathered_while_an_answer_is_due_and_the_latest_wins() {
    let mut m = routed();
    for content in ["2", "3", "4"] {
        m.publish(&[resource(Endpoints, "old", content, &[])]);
    }
    assert_eq!(due(&m), [(Endpoints, 1, 0)], "the first goes out at once");
    let first = m.read().unwrap();
    assert_eq!(first.resources[0].value(), "2 eds old");
    let second = m.read().unwrap();
    assert_eq!(second.resources[0].value(), "4 eds old");
    assert!(m.settle().is_empty());
}

#[test]
fn there_and_back_again_is_nothing() {
    let mut m = routed();
    m.publish(&[resource(Endpoints, "old", "2", &[])]);
    m.publish(&[resource(Endpoints, "old", "3", &[])]);
    m.publish(&[resource(Endpoints, "old", "2", &[])]);
    m.read();
    assert_eq!(due(&m), []);
}

#[test]
fn a_changed_cluster_takes_its_endpoints_and_secrets_along() {
    let mut m = routed();
    m.publish(&[resource(Secret, "ca", "1", &[])]);
    m.subscribe(Secret, &["ca", "other"]);
    m.settle();
    m.publish(&[resource(Cluster, "old", "2", &[(Secret, "ca")])]);
    assert_eq!(due(&m), [(Cluster, 1, 0), (Endpoints, 1, 0), (Secret, 1, 0)]);
}

#[test]
fn endpoints_go_after_their_cluster() {
    let mut m = routed();
    m.unpublish(Routes, "80");
    m.unpublish(Routes, "90");
    m.unpublish(Cluster, "old");
    m.unpublish(Endpoints, "old");
    m.flush();
    assert_eq!(due(&m), [(Routes, 0, 2)]);
    m.read();
    assert_eq!(due(&m), [(Cluster, 0, 1)]);
    m.read();
    assert_eq!(due(&m), [(Endpoints, 1, 0)], "an empty assignment, as the client still asks");
}
