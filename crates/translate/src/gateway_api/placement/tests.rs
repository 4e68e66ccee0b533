use crate::{
    engine::{Fact, Relation},
    gateway_api::{Hindrance, Node},
    status::Status,
    testing::{World, world},
};
use serde_json::Value;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, SourceId};

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { source: SourceId::new("test"), kind, name: NamespacedName::new("infra", name) }
}

fn gateway(spec: &str) -> String {
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: edge, namespace: infra}}, \
         spec: {{gatewayClassName: tombolo, listeners: [{{name: h, port: 80, protocol: HTTP}}]{spec}}}}}"
    )
}

fn service(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: infra}}, \
         spec: {{ports: [{{port: 80}}], {spec}}}}}"
    )
}

fn endpoint(service: &str, ready: bool) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: {service}-1, namespace: infra, \
         labels: {{kubernetes.io/service-name: {service}}}}}, addressType: IPv4, ports: [{{port: 80}}], \
         endpoints: [{{addresses: [10.0.0.1], conditions: {{ready: {ready}}}}}]}}"
    )
}

fn on_ipv6(service: &str, ready: bool) -> String {
    let slice = endpoint(service, ready).replace("-1, namespace", "-2, namespace").replace("IPv4", "IPv6");
    slice.replace("10.0.0.1", "'fd00::1'")
}

/// A world where gateways are deployed.
fn provisioned(gateway: &str) -> World {
    let mut world = world(gateway);
    world.insert(vec![(Relation::Provisioned, Fact::Unit)]);
    world
}

fn given(world: &mut World, service: &str, address: &str) {
    world.insert(vec![(Relation::Ingress(key(Kind::Service, service)), Fact::Name(address.into()))]);
}

/// A node that is ready, and its addresses outside and within.
fn node(name: &str, external: &[&str], internal: &[&str]) -> (Relation, Fact) {
    let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let node = Node { name: name.into(), external: ips(external), internal: ips(internal) };
    (Relation::Nodes(SourceId::new("test")), Fact::Node(node.into()))
}

/// `Programmed`'s reason, and the addresses.
fn said(world: &World) -> (String, Vec<String>) {
    let statuses = world.engine.statuses();
    assert_eq!(statuses, world.scratch().engine.statuses(), "as from scratch");
    let status = serde_json::to_value(&*statuses[&key(Kind::Gateway, "edge")]).unwrap();
    let programmed = condition(&status, "Programmed");
    assert_eq!(programmed["status"] == "True", programmed["reason"] == "Programmed");
    let listener = condition(&status["listeners"][0], "Programmed");
    assert_eq!(listener["status"], programmed["status"], "it is as reachable as its Gateway");
    let addresses = status["addresses"].as_array().expect("addresses are ours to say").iter();
    let text =
        |address: &Value| format!("{} {}", address["type"].as_str().unwrap(), address["value"].as_str().unwrap());
    (programmed["reason"].as_str().unwrap().to_owned(), addresses.map(text).collect())
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
}

fn words(reason: &str, addresses: &[&str]) -> (String, Vec<String>) {
    (reason.to_owned(), addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn a_gateway_is_programmed_once_it_has_an_address_and_somebody_answers() {
    let mut world = provisioned(&gateway(""));
    assert_eq!(said(&world), words("Pending", &[]));
    world.apply(&service("edge-tombolo", "type: LoadBalancer, clusterIP: 10.96.0.9"));
    assert_eq!(said(&world), words("AddressNotAssigned", &[]));
    given(&mut world, "edge-tombolo", "10.99.0.1");
    assert_eq!(said(&world), words("Pending", &["IPAddress 10.99.0.1"]));
    world.apply(&endpoint("edge-tombolo", false));
    assert_eq!(said(&world), words("Pending", &["IPAddress 10.99.0.1"]));
    world.apply(&endpoint("edge-tombolo", true));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.99.0.1"]));
    world.apply(&endpoint("edge-tombolo", false));
    assert_eq!(said(&world), words("Pending", &["IPAddress 10.99.0.1"]));
}

#[test]
fn where_nobody_deploys_gateways_addresses_are_not_ours_to_say() {
    let world = world(&gateway(""));
    let Some(Status::Gateway(status)) =
        world.engine.statuses().remove(&key(Kind::Gateway, "edge")).map(|s| (*s).clone())
    else {
        panic!("there is no status")
    };
    assert_eq!(status.addresses, None);
    assert!(status.conditions.iter().all(|condition| condition.status));
}

#[test]
fn an_address_that_was_wanted_and_not_given_is_not_usable() {
    let wants = |addresses: &str| gateway(&format!(", addresses: [{addresses}]"));
    let mut world = provisioned(&wants("{value: 10.99.0.7}, {value: 10.99.0.8}"));
    world.apply(&[service("edge-tombolo", "type: LoadBalancer"), endpoint("edge-tombolo", true)].join("\n---\n"));
    assert_eq!(said(&world), words("AddressNotUsable", &[]));
    given(&mut world, "edge-tombolo", "10.99.0.8");
    assert_eq!(said(&world), words("AddressNotUsable", &["IPAddress 10.99.0.8"]));
    world.apply(&wants("{value: 10.99.0.8}"));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.99.0.8"]));
    world.apply(&wants("{type: IPAddress}"));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.99.0.8"]), "any will do");
}

#[test]
fn a_service_without_a_load_balancer_is_reached_within_the_cluster() {
    let mut world = provisioned(&gateway(""));
    let spec = "type: ClusterIP, clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::9']";
    let both = [endpoint("edge-tombolo", true), on_ipv6("edge-tombolo", true)].join("\n---\n");
    world.apply(&[service("edge-tombolo", spec), both].join("\n---\n"));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.96.0.9", "IPAddress fd00::9"]));
    given(&mut world, "edge-tombolo", "10.99.0.1");
    assert_eq!(said(&world).1.len(), 2, "what it was given while it was otherwise counts no more");
}

#[test]
fn a_service_that_is_open_on_every_node_is_reached_at_the_nodes() {
    let mut world = provisioned(&gateway(""));
    let wanted = Relation::OnNodes(SourceId::new("test"));
    let service = |kind: &str| service("edge-tombolo", &format!("type: {kind}, clusterIP: 10.96.0.9"));
    world.apply(&[service("ClusterIP"), endpoint("edge-tombolo", true)].join("\n---\n"));
    assert_eq!(world.engine.facts(&wanted).count(), 0, "nobody has to watch nodes");
    world.apply(&service("NodePort"));
    assert_eq!(world.engine.facts(&wanted).count(), 1);
    assert_eq!(said(&world), words("AddressNotAssigned", &[]), "its address within the cluster is nobody's outside");
    world.insert((1..=20).map(|n| node(&format!("n{n}"), &[], &[&format!("192.0.2.{}", 9 + n)])).collect());
    let (reason, addresses) = said(&world);
    assert_eq!((reason.as_str(), addresses.len()), ("Programmed", 16), "no more than the schema allows");
    assert_eq!((addresses[0].as_str(), addresses[15].as_str()), ("IPAddress 192.0.2.10", "IPAddress 192.0.2.25"));
    world.apply(&gateway(", addresses: [{value: 192.0.2.10}]"));
    assert_eq!(said(&world).0, "Programmed");
    world.apply(&gateway(", addresses: [{value: 10.96.0.9}]"));
    assert_eq!(said(&world).0, "AddressNotUsable");
    world.apply(&[gateway(""), service("ClusterIP")].join("\n---\n"));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.96.0.9"]));
    assert_eq!(world.engine.facts(&wanted).count(), 0);
}

#[test]
fn an_address_of_any_node_counts_where_it_is_asked_for() {
    let mut world = provisioned(&gateway(""));
    let service = service("edge-tombolo", "type: NodePort, clusterIP: 10.96.0.9");
    world.apply(&[service, endpoint("edge-tombolo", true)].join("\n---\n"));
    world.insert((1..=40).map(|n| node(&format!("n{n}"), &[], &[&format!("192.0.2.{n}")])).collect());
    let (reason, addresses) = said(&world);
    assert_eq!((&*reason, addresses.len(), &*addresses[0]), ("Programmed", 16, "IPAddress 192.0.2.1"));
    world.apply(&gateway(", addresses: [{value: 192.0.2.40}, {value: 192.0.2.30}]"));
    let (reason, addresses) = said(&world);
    assert_eq!((&*reason, addresses.len()), ("Programmed", 16));
    assert_eq!(addresses[..3], ["IPAddress 192.0.2.30", "IPAddress 192.0.2.40", "IPAddress 192.0.2.1"]);

    world.insert(vec![node("outside", &["203.0.113.1"], &["192.0.2.41"])]);
    let asked = ["IPAddress 192.0.2.30", "IPAddress 192.0.2.40", "IPAddress 203.0.113.1"];
    assert_eq!(said(&world), words("Programmed", &asked));
    world.apply(&gateway(""));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 203.0.113.1"]), "outside before within");
    world.apply(&gateway(", addresses: [{value: 192.0.2.50}]"));
    assert_eq!(said(&world), words("AddressNotUsable", &["IPAddress 203.0.113.1"]));
}

#[test]
fn a_service_for_the_pods_of_each_node_is_reached_where_a_pod_is_ready() {
    let mut world = provisioned(&gateway(""));
    world.apply(&service("edge-tombolo", "type: NodePort, clusterIP: 10.96.0.9, externalTrafficPolicy: Local"));
    world.insert((1..=3).map(|n| node(&format!("n{n}"), &[], &[&format!("192.0.2.{n}")])).collect());
    assert_eq!(said(&world), words("Pending", &[]), "no node has a pod");
    let on = |node: &str, ready: bool| {
        let here = format!("addresses: [10.0.0.1], nodeName: {node}");
        endpoint("edge-tombolo", ready).replace("addresses: [10.0.0.1]", &here)
    };
    world.apply(&on("n2", false));
    assert_eq!(said(&world), words("Pending", &[]));
    world.apply(&on("n2", true));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 192.0.2.2"]));
    world.apply(&gateway(", addresses: [{value: 192.0.2.3}]"));
    assert_eq!(said(&world), words("AddressNotUsable", &["IPAddress 192.0.2.2"]));
    world.apply(&on("n3", true));
    assert_eq!(said(&world), words("Programmed", &["IPAddress 192.0.2.3"]));
    world.apply(&service("edge-tombolo", "type: NodePort, clusterIP: 10.96.0.9, externalTrafficPolicy: Cluster"));
    assert_eq!(said(&world).1.len(), 3);
}

#[test]
fn a_manual_deployment_is_reached_through_the_service_that_it_names() {
    let mut world = provisioned(&gateway(", addresses: [{type: Hostname, value: own.infra.svc.cluster.local}]"));
    assert_eq!(said(&world), words("AddressNotUsable", &[]));
    world.apply(&[service("own", "type: LoadBalancer"), endpoint("own", true)].join("\n---\n"));
    given(&mut world, "own", "lb.example.com");
    assert_eq!(said(&world), words("Programmed", &["Hostname lb.example.com"]));
    for absent in ["own.elsewhere.svc", "own.infra.svc.example.com"] {
        world.apply(&gateway(&format!(", addresses: [{{type: Hostname, value: {absent}}}]")));
        assert_eq!(said(&world), words("AddressNotUsable", &[]), "{absent}");
    }
}

#[test]
fn what_stands_in_the_way_is_said_until_it_is_gone() {
    let reference = ", infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: own}}";
    let mut world = provisioned(&gateway(reference));
    world.apply(
        &[service("edge-tombolo", "type: ClusterIP, clusterIP: 10.96.0.9"), endpoint("edge-tombolo", true)]
            .join("\n---\n"),
    );
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.96.0.9"]));
    let hindered = Relation::Hindered(key(Kind::Gateway, "edge"));
    let mut hinder = |hindrance: Hindrance| {
        let facts = vec![(hindered.clone(), Fact::Hindrance(hindrance))];
        world.engine.insert_facts(facts.clone());
        world.engine.apply(world.index.current(), []);
        let status = serde_json::to_value(&*world.engine.statuses()[&key(Kind::Gateway, "edge")]).unwrap();
        world.engine.remove_facts(facts);
        world.engine.apply(world.index.current(), []);
        status
    };
    let status = hinder(Hindrance::Parameters("there is no ConfigMap".into()));
    assert_eq!(condition(&status, "Accepted")["reason"], "InvalidParameters");
    let status = hinder(Hindrance::Resources("quota".into()));
    assert_eq!(
        (condition(&status, "Accepted")["status"].clone(), condition(&status, "Programmed")["reason"].clone()),
        ("True".into(), "NoResources".into())
    );
    assert_eq!(said(&world), words("Programmed", &["IPAddress 10.96.0.9"]));
}

#[test]
fn a_kind_of_parameters_that_is_not_known_is_refused() {
    let reference = ", infrastructure: {parametersRef: {group: invalid.io, kind: InvalidParameters, name: invalid}}";
    let world = provisioned(&gateway(reference));
    let status = serde_json::to_value(&*world.engine.statuses()[&key(Kind::Gateway, "edge")]).unwrap();
    assert_eq!(condition(&status, "Accepted")["reason"], "InvalidParameters");
}

/// A Gateway with a listener on each of these ports.
fn listeners(ports: &[u16], spec: &str) -> String {
    let listener = |port: &u16| format!("{{name: h{port}, port: {port}, protocol: HTTP}}");
    let listeners: Vec<String> = ports.iter().map(listener).collect();
    gateway(spec).replace("{name: h, port: 80, protocol: HTTP}", &listeners.join(", "))
}

/// `Programmed` of the Gateway and of each listener: reason and message.
fn programmed(world: &World) -> Vec<(String, String)> {
    let statuses = world.engine.statuses();
    assert_eq!(statuses, world.scratch().engine.statuses(), "as from scratch");
    let status = serde_json::to_value(&*statuses[&key(Kind::Gateway, "edge")]).unwrap();
    let all = [&status].into_iter().chain(status["listeners"].as_array().unwrap());
    let said = all.map(|of| condition(of, "Programmed"));
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    said.map(|condition| (text(condition, "reason"), text(condition, "message"))).collect()
}

fn reasons(world: &World) -> Vec<String> {
    programmed(world).into_iter().map(|(reason, _)| reason).collect()
}

#[test]
fn a_listener_is_programmed_once_the_service_passes_its_port_on() {
    let spec = "type: ClusterIP, clusterIP: 10.96.0.9";
    let with = |ports: &str| service("edge-tombolo", spec).replace("{port: 80}", ports);
    let mut world = provisioned(&listeners(&[80], ""));
    world.apply(&[with("{port: 80}"), endpoint("edge-tombolo", true)].join("\n---\n"));
    assert_eq!(reasons(&world), ["Programmed", "Programmed"]);
    world.apply(&listeners(&[80, 8080], ""));
    let said = programmed(&world);
    assert_eq!(reasons(&world), ["Programmed", "Programmed", "Pending"]);
    assert!(said[0].1.contains("edge-tombolo") && said[0].1.contains("port 8080"), "{said:?}");
    assert!(said[2].1.contains("port 8080"), "{said:?}");
    let elsewhere = ["{port: 8080, protocol: UDP}", "{port: 8080, targetPort: 80}"];
    for ports in elsewhere {
        world.apply(&with(&format!("{{name: a, port: 80}}, {{name: b, {}", &ports[1..])));
        assert_eq!(reasons(&world)[1..], ["Programmed", "Pending"], "{ports}");
    }
    let named = "{name: b, port: 8080, targetPort: h}";
    world.apply(&with(&format!("{{name: a, port: 80}}, {named}")));
    assert_eq!(reasons(&world)[1..], ["Programmed", "Pending"], "no pod says what the name stands for");
    world
        .apply(&endpoint("edge-tombolo", true).replace("[{port: 80}]", "[{name: a, port: 80}, {name: b, port: 8080}]"));
    for ports in ["{name: b, port: 8080}", "{name: b, port: 8080, targetPort: 8080}", named] {
        world.apply(&with(&format!("{{name: a, port: 80}}, {ports}")));
        assert_eq!(reasons(&world), ["Programmed"; 3], "{ports}");
        assert_eq!(programmed(&world)[0].1, "");
    }
    world.apply(&with("{port: 9000}"));
    assert_eq!(reasons(&world), ["Pending"; 3]);
}

#[test]
fn a_manual_deployment_names_the_port_that_its_service_lacks() {
    let by_hand = ", addresses: [{type: Hostname, value: own}]";
    let mut world = provisioned(&listeners(&[80, 8080], by_hand));
    let spec = "type: ClusterIP, clusterIP: 10.96.0.9";
    world.apply(&[service("own", spec), endpoint("own", true)].join("\n---\n"));
    assert_eq!(reasons(&world), ["Programmed", "Programmed", "Pending"]);
    world.apply(&listeners(&[8080], by_hand));
    let said = programmed(&world);
    assert_eq!(reasons(&world), ["AddressNotUsable", "Pending"]);
    assert!(said[0].1.contains("infra/own") && said[0].1.contains("port 8080"), "{said:?}");
    world.apply(&service("own", spec).replace("{port: 80}", "{port: 8080}"));
    assert_eq!(reasons(&world), ["Programmed", "Programmed"]);
}

#[test]
fn the_port_of_the_agent_is_no_listeners_where_we_deploy() {
    let spec = "type: ClusterIP, clusterIP: 10.96.0.9";
    let services = |name: &str| {
        let both = service(name, spec).replace("{port: 80}", "{name: a, port: 80}, {name: b, port: 15020}");
        [both, endpoint(name, true)].join("\n---\n")
    };
    let accepted = |world: &World| {
        let status = serde_json::to_value(&*world.engine.statuses()[&key(Kind::Gateway, "edge")]).unwrap();
        let listener = condition(&status["listeners"][1], "Accepted").clone();
        (listener["reason"].as_str().unwrap().to_owned(), listener["message"].as_str().unwrap().to_owned())
    };
    let mut world = provisioned(&listeners(&[80, 15020], ""));
    world.apply(&services("edge-tombolo"));
    let (reason, message) = accepted(&world);
    assert_eq!(reason, "PortUnavailable");
    assert!(message.contains("port 15020"), "{message}");
    assert_eq!(reasons(&world), ["Programmed", "Programmed", "Invalid"]);
    world.apply(
        &[listeners(&[80, 15020], ", addresses: [{type: Hostname, value: own}]"), services("own")].join("\n---\n"),
    );
    assert_eq!(accepted(&world).0, "Accepted", "who deploys by hand knows which ports are free");
    let elsewhere = self::world(&listeners(&[80, 15020], ""));
    assert_eq!(accepted(&elsewhere).0, "Accepted");
}

#[test]
fn an_address_that_was_given_and_is_not_served_yet_is_waited_for() {
    let balanced = "type: LoadBalancer, clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::9']";
    let mut world = provisioned(&gateway(", addresses: [{value: 'fd99::1'}]"));
    given(&mut world, "edge-tombolo", "10.99.0.1");
    given(&mut world, "edge-tombolo", "fd99::1");
    world.apply(&service("edge-tombolo", balanced));
    world.apply(&endpoint("edge-tombolo", true));
    assert_eq!(said(&world).0, "Pending");
    world.apply(&on_ipv6("edge-tombolo", true));
    assert_eq!(said(&world).0, "Programmed");
}

#[test]
fn addresses_of_a_family_are_told_once_pods_of_that_family_are_ready() {
    let balanced = "type: LoadBalancer, clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::9']";
    let mut world = provisioned(&gateway(""));
    given(&mut world, "edge-tombolo", "10.99.0.1");
    given(&mut world, "edge-tombolo", "fd99::1");
    let (v4, v6) = ("IPAddress 10.99.0.1", "IPAddress fd99::1");
    world.apply(&service("edge-tombolo", balanced));
    assert_eq!(said(&world), words("Pending", &[v4, v6]), "it has them, whoever answers");
    world.apply(&endpoint("edge-tombolo", true));
    assert_eq!(said(&world), words("Programmed", &[v4]));
    world.apply(&on_ipv6("edge-tombolo", false));
    assert_eq!(said(&world), words("Programmed", &[v4]));
    world.apply(&on_ipv6("edge-tombolo", true));
    assert_eq!(said(&world), words("Programmed", &[v4, v6]));
    world.apply(&endpoint("edge-tombolo", false));
    assert_eq!(said(&world), words("Programmed", &[v6]));
    world.apply(&service("edge-tombolo", "type: ClusterIP, clusterIP: 10.96.0.9"));
    assert_eq!(said(&world), words("Pending", &[]), "nobody answers there");
    world.apply(&service("edge-tombolo", "type: LoadBalancer, clusterIP: 'fd00::9'"));
    assert_eq!(said(&world), words("Programmed", &[v4, v6]), "what the balancer takes in is its own affair");

    world.apply(&service("edge-tombolo", "type: NodePort, clusterIP: 'fd00::9'"));
    world.insert(vec![node("n1", &[], &["192.0.2.1", "fd02::1"])]);
    assert_eq!(said(&world), words("Programmed", &["IPAddress fd02::1"]));
}
