//! What agents say of their workloads, and what comes of it.

use crate::{
    engine::{Fact, Relation},
    mesh::{Verdict, Workload},
    testing::{World, addresses, world},
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_proto::Scope;

const DB: &str = "outbound|80||db.example.com";
const MANIFESTS: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec: {hosts: [db.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, workloadSelector: {labels: {app: db}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: db, namespace: shop}
spec: {template: {labels: {app: db}}, probe: {tcpSocket: {port: 80}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-1, namespace: shop, annotations: {istio.io/autoRegistrationGroup: db}}
spec: {address: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-2, namespace: shop}
spec: {address: 10.0.0.2, labels: {app: db}}
";

fn workload(name: &str) -> ObjectKey {
    let name = NamespacedName::new("shop", name);
    ObjectKey { source: SourceId::new("test"), kind: Kind::WorkloadEntry, name }
}

fn say(world: &mut World, name: &str, verdict: Verdict) {
    world.insert(vec![(Relation::Health(workload(name)), Fact::Health(verdict))]);
}

fn endpoints(world: &World) -> Vec<String> {
    addresses(&world.assignment(&[Scope::public()], DB).unwrap())
}

/// `True Healthy` and the message; `None` where there is no condition.
fn condition(world: &World, name: &str) -> Option<String> {
    let status = world.engine.statuses().remove(&workload(name))?;
    let healthy = &serde_json::to_value(&status).unwrap()["conditions"][0];
    assert_eq!(healthy["type"], "Healthy");
    let text = |field: &str| healthy[field].as_str().unwrap().to_owned();
    Some([text("status"), text("reason"), text("message")].join(" ").trim_end().to_owned())
}

#[test]
fn an_unhealthy_workload_gets_no_calls_and_says_why() {
    let mut world = world(MANIFESTS);
    assert_eq!(endpoints(&world), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(condition(&world, "db-1").unwrap().starts_with("True NotReported"));
    assert_eq!(condition(&world, "db-2"), None, "nobody probes it, and nobody has reported");
    say(&mut world, "db-1", Err("connection refused".into()));
    assert_eq!(endpoints(&world), ["10.0.0.1:80 UNHEALTHY", "10.0.0.2:80"]);
    assert_eq!(condition(&world, "db-1").unwrap(), "False Unhealthy connection refused");
    say(&mut world, "db-2", Ok(()));
    assert_eq!(condition(&world, "db-2").unwrap(), "True Healthy");
    assert_eq!(world.differences(&world.scratch()), [""; 0]);
}

#[test]
fn a_service_whose_machines_are_all_unhealthy_does_not_send_them_calls() {
    let service = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: db}, ports: [{name: http, port: 80}]}
";
    let mut world = world(&format!("{MANIFESTS}---{service}"));
    say(&mut world, "db-1", Err("refused".into()));
    say(&mut world, "db-2", Err("refused".into()));
    let assignment = world.assignment(&[Scope::public()], "outbound|80||db.shop.svc.cluster.local").unwrap();
    assert_eq!(addresses(&assignment), ["10.0.0.1:80 UNHEALTHY", "10.0.0.2:80 UNHEALTHY"]);
}

#[test]
fn another_reason_alone_builds_no_endpoints() {
    let mut world = world(MANIFESTS);
    let fact = |why: &str| (Relation::Health(workload("db-1")), Fact::Health(Err(why.into())));
    world.insert(vec![fact("refused")]);
    world.engine.insert_facts([fact("no answer")]);
    world.engine.remove_facts([fact("refused")]);
    let outcome = world.engine.apply(world.index.current(), []);
    assert!(outcome.changes.is_empty());
    assert_eq!(outcome.built, 2, "the workload, found to be as before, and its status");
    assert_eq!(condition(&world, "db-1").unwrap(), "False Unhealthy no answer");
    assert!(!world.engine.output(&Workload(workload("db-1"))).unwrap().healthy);
}
