use super::model::{BAD, Model, resource, timing};
use crate::{Standing, session::Event};
use tombolo_proto::{
    Framing,
    ResourceType::{self, *},
};

fn withheld(m: &Model, kind: ResourceType) -> Vec<&str> {
    m.session.channel(kind).into_iter().flat_map(|channel| channel.withheld.keys().map(|name| &**name)).collect()
}

fn many(kind: ResourceType, bad: &[usize]) -> Vec<std::sync::Arc<tombolo_proto::Resource>> {
    (0..32).map(|i| resource(kind, &format!("n{i}"), if bad.contains(&i) { BAD } else { "good" }, &[])).collect()
}

#[test]
fn the_one_at_fault_is_found_and_the_rest_is_served() {
    for framing in [Framing::Delta, Framing::StateOfTheWorld] {
        for outspoken in [true, false] {
            for bad in [&[0][..], &[31], &[7, 8, 20]] {
                let mut m = Model::new(framing);
                m.outspoken = outspoken;
                m.publish(&many(Cluster, bad));
                m.subscribe_all(Cluster);
                let read = m.settle();
                assert_eq!(m.holds[&Cluster].len(), 32 - bad.len(), "{framing:?} {outspoken} {bad:?}");
                assert_eq!(withheld(&m, Cluster).len(), bad.len());
                assert!(read.len() <= 4 + 2 * bad.len() * 6, "{} responses", read.len());
                let found = m.events.iter().filter(|e| matches!(e, Event::Withheld { .. })).count();
                assert_eq!(found, bad.len());
            }
        }
    }
}

#[test]
fn what_is_rejected_is_not_sent_again_until_it_changes() {
    for framing in [Framing::Delta, Framing::StateOfTheWorld] {
        let mut m = Model::new(framing);
        let good = resource(Cluster, "a", "good", &[]);
        m.publish(&[good.clone(), resource(Cluster, "b", "good", &[])]);
        m.subscribe_all(Cluster);
        m.settle();
        m.publish(&[resource(Cluster, "a", BAD, &[])]);
        m.settle();
        assert_eq!(withheld(&m, Cluster), ["a"]);
        assert_eq!(m.held(Cluster, "a"), Some(good.version()), "the last good one stays");
        m.publish(&[resource(Cluster, "b", "better", &[])]);
        let read = m.settle();
        assert!(read.iter().flat_map(|r| &r.resources).all(|r| !r.value().starts_with(BAD.as_bytes())));
        assert_eq!(m.held(Cluster, "a"), Some(good.version()));
        m.publish(std::slice::from_ref(&good));
        assert!(m.settle().is_empty(), "back to what it holds");
        assert!(withheld(&m, Cluster).is_empty());
        assert!(matches!(m.events.last(), Some(Event::Released { .. })));
        m.publish(&[resource(Cluster, "a", "better", &[])]);
        m.settle();
        assert_eq!(m.held(Cluster, "a"), m.visible(Cluster, "a").map(|r| r.version()));
    }
}

#[test]
fn how_far_a_client_is_with_what_it_rejects() {
    let mut m = Model::delta();
    let standing = |m: &Model| m.session.standing(Cluster, "a", &m.index);
    assert_eq!(standing(&m), Standing::Unasked, "no type");
    m.subscribe(Cluster, &["a"]);
    m.settle();
    assert_eq!(standing(&m), Standing::Absent);
    m.publish(&[resource(Cluster, "a", BAD, &[])]);
    m.flush();
    assert_eq!(standing(&m), Standing::Due);
    m.settle();
    assert_eq!(standing(&m), Standing::Rejected);
    m.reconnect();
    assert!(!matches!(standing(&m), Standing::Held(_)), "what it rejected is not what it holds");
    m.settle();
    assert_eq!(standing(&m), Standing::Rejected);
    m.publish(&[resource(Cluster, "a", "better", &[])]);
    m.flush();
    assert_eq!(standing(&m), Standing::Due, "it has not answered yet");
    m.settle();
    assert_eq!(Some(standing(&m)), m.visible(Cluster, "a").map(|r| Standing::Held(r.version())));
}

#[test]
fn a_rejected_route_keeps_the_cluster_that_its_last_good_version_names() {
    let mut m = Model::delta();
    m.publish(&[resource(Cluster, "a", "1", &[]), resource(Routes, "80", "1", &[(Cluster, "a")])]);
    m.subscribe_all(Cluster);
    m.subscribe(Routes, &["80"]);
    m.settle();
    m.unpublish(Cluster, "a");
    m.publish(&[resource(Routes, "80", BAD, &[])]);
    m.settle();
    assert!(m.held(Cluster, "a").is_some());
    m.publish(&[resource(Routes, "80", "2", &[])]);
    m.settle();
    assert!(m.held(Cluster, "a").is_none());
}

#[test]
fn newer_content_overtakes_the_search() {
    let mut m = Model::delta();
    m.outspoken = false;
    m.publish(&many(Routes, &[5]));
    let names: Vec<_> = (0..32).map(|i| format!("n{i}")).collect();
    m.subscribe(Routes, &names.iter().map(String::as_str).collect::<Vec<_>>());
    m.read();
    m.publish(&[resource(Routes, "n5", "mended", &[])]);
    m.settle();
    assert_eq!(m.holds[&Routes].len(), 32);
    assert!(withheld(&m, Routes).is_empty());
    assert!(!m.events.iter().any(|e| matches!(e, Event::Withheld { .. })));
}

#[test]
fn what_changed_back_before_its_rejection_arrived_is_not_withheld() {
    let mut m = Model::world();
    m.outspoken = false;
    let good = resource(Cluster, "a", "good", &[]);
    m.publish(&[good.clone(), resource(Cluster, "b", "good", &[])]);
    m.subscribe_all(Cluster);
    for content in [resource(Cluster, "a", BAD, &[]), good.clone()] {
        m.advance(timing().coalesce);
        m.publish(&[content]);
    }
    assert_eq!(m.inbox.len(), 3, "each set is on its way before the first is answered");
    m.settle();
    assert!(withheld(&m, Cluster).is_empty());
    assert_eq!(m.held(Cluster, "a"), Some(good.version()));
}

#[test]
fn asking_by_name_for_what_is_rejected_sends_it_once_more_and_not_twice() {
    let mut m = Model::world();
    m.outspoken = false;
    m.subscribe_all(Cluster);
    m.subscribe(Cluster, &["a"]);
    m.settle();
    m.publish(&[resource(Cluster, "b", BAD, &[]), resource(Cluster, "c", "good", &[])]);
    m.read();
    assert!(m.session.channel(Cluster).is_some_and(|channel| !channel.retries.is_empty()), "it is being searched for");
    m.subscribe(Cluster, &["b"]);
    m.read();
    m.reconnect();
    m.settle();
    // Which half of the search came first decides whether the client came back holding anything: then nothing can be singled out.
    let unsearchable = m.session.channel(Cluster).is_some_and(|channel| channel.unsearchable);
    assert!(unsearchable || withheld(&m, Cluster) == ["b"]);
    assert!(m.held(Cluster, "b").is_none());
}

#[test]
fn nobody_innocent_is_accused_when_the_guilty_one_is_no_longer_wanted() {
    let mut m = Model::delta();
    m.publish(&[resource(Routes, "a", BAD, &[]), resource(Routes, "b", "1", &[])]);
    m.subscribe(Routes, &["a", "b"]);
    let response = m.inbox.pop_front().unwrap();
    m.unsubscribe(Routes, "a");
    m.session.answered(Routes, response.nonce, Some("no good".into()), m.now);
    m.settle();
    assert!(withheld(&m, Routes).is_empty());
    assert!(m.held(Routes, "b").is_some());
}

#[test]
fn a_full_set_is_never_halved_for_a_client_that_came_back() {
    let mut m = Model::world();
    m.outspoken = false;
    m.publish(&many(Cluster, &[]));
    m.subscribe_all(Cluster);
    m.settle();
    m.session.close(&mut m.index);
    m.publish(&[resource(Cluster, "n3", BAD, &[])]);
    m.reconnect();
    for response in m.settle() {
        assert_eq!(response.resources.len(), 32, "what is left out is taken away");
    }
    m.publish(&[resource(Cluster, "n4", "2", &[])]);
    m.settle();
    assert!(withheld(&m, Cluster).is_empty(), "n4 is not accused for n3");
    m.publish(&[resource(Cluster, "n3", "mended", &[])]);
    m.settle();
    assert_eq!(m.held(Cluster, "n4"), m.visible(Cluster, "n4").map(|r| r.version()));
}
