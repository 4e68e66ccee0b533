use crate::{Entry, Index, Key};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tombolo_api::{AnyObject, Kind, ObjectKey, istio::ServiceEntry, manifest};
use tombolo_core::{Host, NamespacedName, SourceId};

fn object(document: Value) -> AnyObject {
    let decoded = manifest::decode(document, None);
    decoded.object.unwrap_or_else(|| panic!("{:?}", decoded.problems))
}

fn entry(hosts: &[&str]) -> AnyObject {
    object(json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "e", "namespace": "n"},
        "spec": {"hosts": hosts, "resolution": "DNS", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
    }))
}

fn slice(service: &str, address: &str) -> AnyObject {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "s", "namespace": "n", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
    }))
}

fn source() -> SourceId {
    SourceId::new("dir")
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { source: source(), kind, name: NamespacedName::new("n", name) }
}

fn host(name: &str) -> Key {
    Key::Entry(Entry::Host(Host::parse(name).unwrap()))
}

#[test]
fn an_edit_names_the_entries_that_it_joins_and_leaves_and_no_others() {
    let mut index = Index::default();
    let e = Key::Object(key(Kind::ServiceEntry, "e"));
    let changed = |changes: crate::Changes| changes.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        changed(index.apply(source(), entry(&["a.com", "b.com"]))),
        [e.clone(), host("a.com"), host("b.com")].into()
    );
    assert_eq!(
        changed(index.apply(source(), entry(&["b.com", "c.com"]))),
        [e.clone(), host("a.com"), host("c.com")].into()
    );
    assert_eq!(changed(index.apply(source(), entry(&["b.com", "c.com"]))), [].into(), "the same again changes nothing");
    assert_eq!(changed(index.delete(&key(Kind::ServiceEntry, "e"))), [e, host("b.com"), host("c.com")].into());
    assert_eq!(changed(index.delete(&key(Kind::ServiceEntry, "e"))), [].into(), "it is gone already");
    assert!(index.current().is_empty());
    assert_eq!(index.current().all_entries().count(), 0, "no entry outlives its objects");
}

#[test]
fn content_changes_the_object_and_not_the_sets_that_it_is_in() {
    let mut index = Index::default();
    index.apply(source(), slice("web", "10.0.0.1"));
    let changes = index.apply(source(), slice("web", "10.0.0.2"));
    assert_eq!(changes.as_slice(), [Key::Object(key(Kind::EndpointSlice, "s"))]);
    let of = |service: &str| Entry::Slices(source(), NamespacedName::new("n", service));
    assert_eq!(index.current().entry(&of("web")).len(), 1);
    let changes = index.apply(source(), slice("api", "10.0.0.2"));
    assert!(changes.contains(&Key::Entry(of("web"))) && changes.contains(&Key::Entry(of("api"))));
    assert!(index.current().entry(&of("web")).is_empty());
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut index = Index::default();
    index.apply(source(), entry(&["a.com"]));
    let before = index.snapshot();
    index.apply(source(), entry(&["b.com"]));
    let hosts = |snapshot: &crate::Snapshot| {
        let found = snapshot.get::<ServiceEntry>(&key(Kind::ServiceEntry, "e")).unwrap();
        found.hosts.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&before), ["a.com"]);
    assert_eq!(hosts(index.current()), ["b.com"]);
    assert_eq!(before.entry(&Entry::Host(Host::parse("a.com").unwrap())).len(), 1);
}

#[test]
fn objects_of_several_sources_are_apart_and_under_one_host() {
    let mut index = Index::default();
    let other = SourceId::new("cluster-2");
    index.apply(source(), entry(&["a.com"]));
    index.apply(other, entry(&["a.com"]));
    assert_eq!(index.current().len(), 2);
    assert_eq!(index.current().entry(&Entry::Host(Host::parse("a.com").unwrap())).len(), 2);
    index.delete(&ObjectKey { source: other, ..key(Kind::ServiceEntry, "e") });
    assert_eq!(index.current().len(), 1);
}
