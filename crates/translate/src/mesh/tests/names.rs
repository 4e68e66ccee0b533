//! What hosts resolve to, and which addresses those have that have none.

use crate::{
    Allocation, AutoAddress,
    engine::{Fact, Relation},
    testing::{World, world},
};
use prost::Message;
use std::collections::BTreeMap;
use tombolo_core::{Host, ProxyKind};
use tombolo_proto::{ResourceType, Scope, agent::NameInfo};

const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 5432}]}
";

const ENTRIES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: shop}
spec: {hosts: [orders.example.com], resolution: DNS, ports: [{number: 3306, name: mysql, protocol: TCP}, {number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: users, namespace: shop}
spec: {hosts: [users.example.com], resolution: DNS, ports: [{number: 3306, name: mysql, protocol: TCP}]}
";

fn slice(endpoints: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: db-1, namespace: shop, labels: {{kubernetes.io/service-name: db}}}}
addressType: IPv4
ports: [{{name: tcp, port: 5432}}]
endpoints: [{endpoints}]
"
    )
}

fn sidecar(namespace: &str) -> Vec<Scope> {
    crate::scopes(ProxyKind::Sidecar, namespace, "", &crate::Variant::default(), crate::Interception::default())
}

/// What hosts resolve to for the workloads of a namespace.
fn names(world: &World, namespace: &str) -> BTreeMap<String, Vec<String>> {
    let seen = world.seen(&sidecar(namespace), ResourceType::Name).into_iter();
    seen.map(|(host, info)| (host.to_string(), NameInfo::decode(info.value()).unwrap().ips)).collect()
}

fn said(world: &mut World, host: &str, allocation: Allocation) {
    let host = Host::parse(host).unwrap();
    world.insert(vec![(Relation::Allocated(host), Fact::Allocation(allocation))]);
}

fn given(world: &mut World, host: &str) -> AutoAddress {
    let address = AutoAddress::preferred(&Host::parse(host).unwrap());
    said(world, host, Allocation::Given(address));
    address
}

#[test]
fn a_headless_name_follows_its_ready_endpoints_and_nothing_else_moves() {
    let mut world = world(HEADLESS);
    let db = "db.shop.svc.cluster.local";
    assert_eq!(names(&world, "shop")[db], [""; 0], "a name, and nobody there");
    let two = "{addresses: [10.1.0.2], hostname: db-1}, {addresses: [10.1.0.1], hostname: db-0}";
    world.apply(&slice(two));
    assert_eq!(names(&world, "shop")[db], ["10.1.0.1", "10.1.0.2"]);
    assert_eq!(names(&world, "shop")["db-1.db.shop.svc.cluster.local"], ["10.1.0.2"]);
    let outcome = world.apply(&slice(
        "{addresses: [10.1.0.1], hostname: db-0}, {addresses: [10.1.0.2], hostname: db-1, conditions: {ready: false}}",
    ));
    let moved = outcome.changes.iter().filter(|change| change.kind == ResourceType::Name);
    let moved: Vec<(&str, bool)> = moved.map(|change| (&*change.name, change.resource.is_some())).collect();
    assert_eq!(moved, [("db-1.db.shop.svc.cluster.local", false), (db, true)]);
    world.apply(&slice("{addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}}"));
    assert_eq!(names(&world, "shop")[db], [""; 0], "who is on the way out has connections, and gets no new ones");
}

#[test]
fn a_machine_that_a_headless_service_selects_is_found_under_its_name() {
    let selecting = HEADLESS.replace("clusterIP: None,", "clusterIP: None, selector: {app: db},");
    let machine = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 10.4.0.1, labels: {app: db}}
";
    let mut world = world(&selecting);
    world.apply(machine);
    assert_eq!(names(&world, "shop")["db.shop.svc.cluster.local"], ["10.4.0.1"]);
}

#[test]
fn a_given_address_is_used_wherever_addresses_are() {
    let mut world = world(ENTRIES);
    world.connect(&["shop"]);
    assert!(names(&world, "shop").is_empty(), "nobody has answered yet");
    let (orders, users) = (given(&mut world, "orders.example.com"), given(&mut world, "users.example.com"));
    assert_eq!(names(&world, "shop")["orders.example.com"], orders.both().map(|address| address.to_string()));
    let listener = |address: &dyn std::fmt::Display| world.listener(&sidecar("shop"), &format!("{address}_3306"));
    for (address, host) in [(orders, "orders"), (users, "users")] {
        for address in address.both() {
            let chain = listener(&address).unwrap().default_filter_chain.unwrap();
            assert_eq!(chain.name, format!("outbound|3306||{host}.example.com"));
        }
    }
    let table = world.table(&sidecar("shop"), "80").unwrap();
    let domains = &table.virtual_hosts.iter().find(|host| host.name == "orders.example.com:80").unwrap().domains;
    assert_eq!(*domains, ["orders.example.com".to_owned(), orders.v4().to_string(), format!("[{}]", orders.v6())]);
    assert!(listener(&"0.0.0.0").is_some(), "who looks names up elsewhere is served as before");
    assert_eq!(world.engine.problems(), [].into(), "connections are told apart by address");
}

#[test]
fn what_became_of_the_wish_is_the_entrys_status() {
    let mut world = world(ENTRIES);
    let status = |world: &World, name: &str| {
        let statuses = world.engine.statuses();
        let (_, status) = statuses.iter().find(|(key, _)| &*key.name.name == name).unwrap();
        let json = serde_json::to_value(&**status).unwrap();
        let [_, addressed] = &*json["conditions"].as_array().unwrap().clone() else { panic!("{json}") };
        assert_eq!(addressed["type"], "AddressesAllocated");
        (addressed["status"].clone(), addressed["reason"].clone(), json["addresses"].clone())
    };
    assert_eq!(status(&world, "orders").1, "Pending");
    let address = given(&mut world, "orders.example.com");
    let entry = |value: String| serde_json::json!({"host": "orders.example.com", "value": value});
    let addresses = address.both().map(|address| entry(address.to_string()));
    assert_eq!(status(&world, "orders"), ("True".into(), "Allocated".into(), addresses.into()));
    said(&mut world, "users.example.com", Allocation::Exhausted);
    assert_eq!(status(&world, "users"), ("False".into(), "Exhausted".into(), serde_json::Value::Null));
    let problems = world.engine.problems();
    let problem = problems.iter().find(|problem| problem.reason == "NoAddress").unwrap();
    assert!(problem.message.contains("all 65024 addresses of 240.240.0.0/16 are taken"), "{problem:?}");
    assert_eq!(world.scratch().engine.problems(), problems);
}

#[test]
fn who_has_an_address_or_declines_asks_for_none() {
    let needs = |yaml: &str| {
        let mut needs = Vec::new();
        let world = world(yaml);
        let asked = |all: &crate::engine::Needs| {
            needs.extend(all.keys().map(ToString::to_string));
            crate::engine::Answer::default()
        };
        crate::Engine::from_scratch_with(world.index.current(), [], asked);
        needs
    };
    assert_eq!(needs(ENTRIES), ["orders.example.com", "users.example.com"]);
    let one = ENTRIES.split("---").next().unwrap();
    let with = |old: &str, new: &str| needs(&one.replace(old, new));
    assert!(with("resolution: DNS", "resolution: NONE").is_empty());
    assert!(with("resolution: DNS", "resolution: DNS, addresses: [10.0.0.1]").is_empty());
    assert!(with("[orders.example.com], resolution: DNS", "['*.example.com'], resolution: STATIC").is_empty());
    let declined = "namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}";
    assert!(with("namespace: shop", declined).is_empty());
    let off = "
---
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: mesh}
spec: {mesh: {dns: {autoAllocate: false}}}
";
    assert!(needs(&format!("{one}{off}")).is_empty());
}
