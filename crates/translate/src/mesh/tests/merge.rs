//! One host from several objects.

use crate::testing::{addresses, objects, world};
use tombolo_proto::Scope;

const TWO_ENTRIES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  hosts: [db.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http}]
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z'}
spec:
  hosts: [db.example.com]
  resolution: STATIC
  ports: [{number: 80, name: web, protocol: HTTP}, {number: 90, name: tcp}]
  endpoints: [{address: 10.0.0.2}]
";

#[test]
fn entries_of_a_namespace_share_ports_and_endpoints() {
    let world = world(TWO_ENTRIES);
    let of = |name| addresses(&world.assignment(&[Scope::public()], name).unwrap());
    assert_eq!(of("outbound|80||db.example.com"), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(of("outbound|90||db.example.com"), ["10.0.0.2:90"]);
    assert!(world.engine.problems().is_empty());
}

#[test]
fn a_clash_costs_the_younger_entry_and_is_its_status() {
    let cases = [
        ("protocol: HTTP}", "protocol: TCP}", "PortConflict", "spec.ports[0]", true),
        (
            "resolution: STATIC\n  ports: [{number: 80, name: web",
            "resolution: DNS\n  ports: [{number: 80, name: web",
            "HostConflict",
            "spec.resolution",
            false,
        ),
    ];
    for (from, to, reason, field, other_port) in cases {
        let world = world(&TWO_ENTRIES.replace(from, to));
        let of = |name| world.assignment(&[Scope::public()], name).map(|a| addresses(&a));
        assert_eq!(of("outbound|80||db.example.com"), Some(vec!["10.0.0.1:80".to_owned()]), "{reason}");
        assert_eq!(of("outbound|90||db.example.com").is_some(), other_port, "{reason}");
        let problems = world.engine.problems();
        let problem = problems.first().unwrap();
        assert_eq!((problems.len(), problem.reason, problem.field.as_str()), (1, reason, field));
        assert_eq!(problem.object.to_string(), "ServiceEntry shop/b");
        let status = serde_json::to_value(&*world.engine.statuses().into_values().nth(1).unwrap()).unwrap();
        assert_eq!(status["conditions"][0]["reason"], reason);
        assert_eq!(status["conditions"][0]["status"], "False");
    }
}

#[test]
fn the_order_in_which_objects_come_does_not_matter() {
    let mut all = objects(&TWO_ENTRIES.replace("protocol: HTTP}", "protocol: TCP}"));
    let mut one = crate::testing::World::default();
    all.iter().for_each(|object| drop(one.apply_from("test", vec![object.clone()])));
    all.reverse();
    let mut other = crate::testing::World::default();
    all.iter().for_each(|object| drop(other.apply_from("test", vec![object.clone()])));
    assert_eq!(one.everything(), other.everything());
    assert_eq!(one.everything(), one.scratch().everything());
    assert_eq!(one.engine.statuses(), other.engine.statuses());
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: tcp, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 8080}]
endpoints: [{addresses: [10.0.0.9]}]
";
const DB: &str = "outbound|80||db.shop.svc.cluster.local";

#[test]
fn a_service_of_two_clusters_is_one() {
    let mut world = world(SERVICE);
    world.apply_from("east", objects(&SERVICE.replace("10.0.0.9", "10.0.0.8").replace("10.1.0.1", "10.2.0.1")));
    assert_eq!(addresses(&world.assignment(&[Scope::public()], DB).unwrap()), ["10.0.0.8:8080", "10.0.0.9:8080"]);
    for listener in ["10.1.0.1_80", "10.2.0.1_80"] {
        assert!(world.listener(&[Scope::public().variant("captured")], listener).is_some(), "{listener}");
    }
}

#[test]
fn an_entry_adds_endpoints_to_a_kubernetes_service_but_does_not_decide() {
    let entry = TWO_ENTRIES.replace("db.example.com", "db.shop.svc.cluster.local").replace("name: http}", "name: tcp}");
    let world = world(&format!("{SERVICE}---{entry}"));
    assert_eq!(addresses(&world.assignment(&[Scope::public()], DB).unwrap()), ["10.0.0.1:80", "10.0.0.9:8080"]);
    let problems: Vec<_> = world.engine.problems().iter().map(|p| p.object.to_string()).collect();
    assert_eq!(problems, ["ServiceEntry shop/b"]); // says HTTP of what is TCP
}

#[test]
fn an_external_name_cannot_be_routed_to() {
    let service = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {type: ExternalName, externalName: db.example.com, ports: [{name: tcp, port: 80}]}
";
    let mut world = world(service);
    world.connect(&["shop"]);
    assert!(world.cluster(&[Scope::public()], DB).is_none());
    world.apply(SERVICE);
    assert!(world.cluster(&[Scope::public()], DB).is_some());
}
