//! The table of all names, for Istio's agents.

use super::model::Model;
use crate::session::{Event, Response};
use proptest::prelude::*;
use prost::Message;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tombolo_proto::{
    Framing, Resource,
    ResourceType::{Name, NameTable},
    Scope,
    agent::{self, NameInfo},
};

fn name(host: &str, ip: &str) -> Arc<Resource> {
    let ips = if ip.is_empty() { Vec::new() } else { vec![ip.to_owned()] };
    Arc::new(Resource::encode(Name, host, &NameInfo { ips, ..NameInfo::default() }, Vec::new()))
}

/// What a response says of each host.
fn table(response: &Response) -> BTreeMap<String, Vec<String>> {
    let [resource] = &*response.resources else { panic!("a table is one resource: {response:?}") };
    assert_eq!((response.kind, &**resource.name()), (NameTable, "nametable"));
    assert!(response.removed.is_empty());
    let table = agent::NameTable::decode(resource.value()).unwrap().table;
    table.into_iter().map(|(host, info)| (host, info.ips)).collect()
}

fn hosts(response: &Response) -> Vec<String> {
    table(response).into_keys().collect()
}

#[test]
fn a_client_that_names_nothing_gets_all_names_in_one_and_again_when_one_changes() {
    for framing in [Framing::Delta, Framing::StateOfTheWorld] {
        let mut m = Model::new(framing);
        m.publish(&[name("b", "10.0.0.2"), name("a", "10.0.0.1")]);
        // A first request for no names at all, as Istio's agent sends it.
        match framing {
            Framing::Delta => m.subscribe(NameTable, &[]),
            Framing::StateOfTheWorld => m.subscribe_all(NameTable),
        }
        assert_eq!(hosts(&m.read().unwrap()), ["a", "b"], "{framing:?}");
        assert!(m.settle().is_empty(), "{framing:?}");
        m.publish(&[name("a", "10.0.0.9")]);
        assert_eq!(table(&m.read().unwrap())["a"], ["10.0.0.9"], "{framing:?}");
        m.publish(&[name("a", "10.0.0.9")]);
        assert!(m.settle().is_empty(), "{framing:?}: nothing has changed");
        m.unpublish(Name, "b");
        assert_eq!(hosts(m.settle().last().unwrap()), ["a"], "{framing:?}");
        m.unpublish(Name, "a");
        assert!(hosts(m.settle().last().unwrap()).is_empty(), "{framing:?}: an empty table is a table");
    }
}

#[test]
fn a_client_of_an_empty_mesh_gets_an_empty_table() {
    let mut m = Model::delta();
    m.subscribe(NameTable, &[]);
    assert!(hosts(&m.read().unwrap()).is_empty());
    assert!(m.settle().is_empty());
}

#[test]
fn changes_are_gathered_while_an_answer_is_due() {
    let mut m = Model::delta();
    m.subscribe(NameTable, &[]);
    m.settle();
    m.publish(&[name("a", "10.0.0.1")]);
    m.publish(&[name("b", "10.0.0.1")]);
    m.publish(&[name("c", "10.0.0.1")]);
    assert_eq!(m.inbox.len(), 1, "the first went out at once, the others wait");
    assert_eq!(hosts(&m.read().unwrap()), ["a"]);
    assert_eq!(hosts(&m.read().unwrap()), ["a", "b", "c"]);
    m.publish(&[name("d", "10.0.0.1")]);
    m.publish(&[name("e", "10.0.0.1")]);
    m.advance(Duration::from_secs(1));
    assert_eq!(m.inbox.len(), 2, "not for ever");
}

#[test]
fn an_earlier_scope_hides_and_replaces() {
    let mut m = Model::delta();
    let own = Scope::namespace("own");
    m.publish(&[name("a", "10.0.0.1"), name("b", "10.0.0.1")]);
    m.publish_to(&own, Name, "a", Some(name("a", "10.0.0.2")));
    m.publish_to(&own, Name, "b", Some(name("b", "")));
    m.subscribe(NameTable, &[]);
    assert_eq!(hosts(&m.read().unwrap()), ["a", "b"]);
    m.reclassify(&[own, Scope::public()]);
    assert_eq!(table(&m.read().unwrap()), [("a".to_owned(), vec!["10.0.0.2".to_owned()])].into());
}

#[test]
fn a_client_that_comes_back_is_sent_what_differs_or_nothing() {
    for framing in [Framing::Delta, Framing::StateOfTheWorld] {
        let mut m = Model::new(framing);
        m.publish(&[name("a", "10.0.0.1")]);
        m.subscribe_all(NameTable);
        m.settle();
        m.reconnect();
        assert!(m.settle().is_empty(), "{framing:?}");
        m.session.close(&mut m.index);
        m.publish(&[name("b", "10.0.0.1")]);
        m.reconnect();
        assert_eq!(m.settle().iter().map(hosts).collect::<Vec<_>>(), [["a", "b"]], "{framing:?}");
    }
}

#[test]
fn a_rejected_table_is_told_once_and_not_sent_again_until_it_changes() {
    let mut m = Model::delta();
    m.subscribe(NameTable, &[]);
    m.settle();
    m.publish(&[name("a", "10.0.0.1")]);
    let rejected = m.inbox.pop_front().unwrap();
    m.session.answered(NameTable, rejected.nonce, Some("no".into()), m.now);
    m.flush();
    assert!(m.settle().is_empty());
    let withheld = |event: &Event| matches!(event, Event::Withheld { kind: NameTable, message, .. } if message == "no");
    assert!(m.events.iter().any(withheld), "{:?}", m.events);
    m.publish(&[name("b", "10.0.0.1")]);
    assert_eq!(hosts(&m.read().unwrap()), ["a", "b"]);
    assert!(m.events.iter().any(|event| matches!(event, Event::Released { kind: NameTable, .. })), "{:?}", m.events);
}

#[test]
fn who_leaves_is_told_no_more() {
    let mut m = Model::delta();
    m.subscribe(NameTable, &["nametable"]);
    m.settle();
    m.unsubscribe(NameTable, "nametable");
    m.publish(&[name("a", "10.0.0.1")]);
    assert!(m.settle().is_empty());
    assert!(m.session.name_table().is_none());
}

#[test]
fn all_that_see_the_same_share_one_table_and_it_goes_with_them() {
    let mut m = Model::delta();
    m.publish(&[name("a", "10.0.0.1")]);
    let other = m.index.connect(Arc::default());
    m.index.set_scopes(other, &[Scope::public()]);
    m.subscribe(NameTable, &[]);
    let sent = m.read().unwrap().resources.remove(0);
    let theirs = m.index.name_table(other).unwrap();
    assert!(Arc::ptr_eq(&sent, &theirs));
    let gone = Arc::downgrade(&sent);
    drop((sent, theirs));
    m.session.close(&mut m.index);
    assert!(gone.upgrade().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    /// A scope, a host, an address; 0 hides, beyond 3 is none.
    Publish(bool, u8, u8),
    Ask,
    Leave,
    Read,
    Wait(u64),
    Reclassify(bool),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), 0u8..3, 0u8..5).prop_map(|(own, host, ip)| Step::Publish(own, host, ip)),
        2 => Just(Step::Ask),
        1 => Just(Step::Leave),
        5 => Just(Step::Read),
        1 => (0u64..2000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reclassify),
        1 => Just(Step::Reconnect),
    ]
}

fn take(m: &mut Model, step: &Step, held: &mut Option<BTreeMap<String, Vec<String>>>) {
    let own = Scope::namespace("own");
    match *step {
        Step::Publish(mine, host, ip) => {
            let host = ["a", "b", "c"][host as usize];
            let ip = if ip == 0 { String::new() } else { format!("10.0.0.{ip}") };
            let resource = (!ip.ends_with('4')).then(|| name(host, &ip));
            let scope = if mine { own } else { Scope::public() };
            m.publish_to(&scope, Name, host, resource);
        }
        Step::Ask => m.subscribe(NameTable, &["nametable"]),
        Step::Leave => m.unsubscribe(NameTable, "nametable"),
        Step::Read => *held = m.read().as_ref().map(table).or(held.take()),
        Step::Wait(ms) => m.advance(Duration::from_millis(ms)),
        Step::Reclassify(mine) => {
            let scopes = [own, Scope::public()];
            m.reclassify(if mine { &scopes } else { &scopes[1..] });
        }
        Step::Reconnect => m.reconnect(),
    }
}

/// What a client that takes names one by one would see.
fn visible(m: &Model) -> BTreeMap<String, Vec<String>> {
    let connection = m.session.connection;
    let names = m.index.list(connection, Name).filter(|(_, name)| !name.value().is_empty());
    names.map(|(_, r)| (r.name().to_string(), NameInfo::decode(r.value()).unwrap().ips)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_ends_as_the_names_that_are_seen(world: bool, steps in proptest::collection::vec(step(), 0..40)) {
        let mut m = Model::new(if world { Framing::StateOfTheWorld } else { Framing::Delta });
        let mut held = None;
        for step in &steps {
            take(&mut m, step, &mut held);
        }
        for response in m.settle() {
            held = Some(table(&response));
        }
        if m.session.name_table().is_some() {
            prop_assert_eq!(held, Some(visible(&m)));
        }
    }
}
