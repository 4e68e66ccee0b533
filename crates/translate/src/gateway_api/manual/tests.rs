use crate::{
    engine::{Fact, Relation},
    testing::World,
};
use serde_json::Value;
use std::collections::BTreeMap;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, SourceId, Uid};
use tombolo_proto::{Scope, envoy::envoy::config::core::v3::address::Address::SocketAddress};

const POD: &str = "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b";

fn key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap();
    ObjectKey { source: SourceId::new("test"), kind: Kind::Gateway, name: NamespacedName::new(namespace, name) }
}

/// A Gateway that names Service `ingress` of namespace `edge`.
fn gateway(name: &str, created: u8, ports: &[u16]) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let listener = |port: &u16| format!("{{name: h{port}, port: {port}, protocol: HTTP}}");
    let listeners: Vec<String> = ports.iter().map(listener).collect();
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: {name}, namespace: {namespace}, \
         creationTimestamp: 2026-01-0{created}T00:00:00Z}}, spec: {{gatewayClassName: tombolo, \
         addresses: [{{type: Hostname, value: ingress.edge.svc.cluster.local}}], listeners: [{}]}}}}",
        listeners.join(", ")
    )
}

fn service(labels: &str, ports: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: ingress, namespace: edge, labels: {{{labels}}}}}, \
         spec: {{clusterIP: 10.96.0.9, ports: [{ports}]}}}}"
    )
}

fn slice(ports: &str, ready: bool) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: ingress-1, namespace: edge, \
         labels: {{kubernetes.io/service-name: ingress}}}}, addressType: IPv4, ports: [{ports}], \
         endpoints: [{{addresses: [10.0.0.1], conditions: {{ready: {ready}}}, \
         targetRef: {{kind: Pod, namespace: edge, name: proxy, uid: {POD}}}}}]}}"
    )
}

/// Lets Gateways of namespace `shop` name Services of namespace `edge`.
const GRANT: &str = "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: shop, namespace: edge}, \
    spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}], to: [{group: '', kind: Service}]}}";

fn world(manifests: &[String]) -> World {
    let mut world = World::default();
    world.insert(vec![(Relation::Provisioned, Fact::Unit)]);
    world.apply(&[&manifests.join("\n---\n"), GRANT].join("\n---\n"));
    world
}

/// Whose the pod is.
fn owners(world: &World) -> Vec<String> {
    let pod = Relation::GatewayPod("edge".into(), Uid::parse(POD).unwrap());
    let owners = world.engine.facts(&pod).map(|fact| match fact {
        Fact::Object(key) => key.name.to_string(),
        other => panic!("{other:?}"),
    });
    owners.collect()
}

/// `Programmed` of a Gateway: its reason and message.
fn programmed(world: &World, gateway: &str) -> (String, String) {
    let statuses = world.engine.statuses();
    assert_eq!(statuses, world.scratch().engine.statuses(), "as from scratch");
    let status = serde_json::to_value(&*statuses[&key(gateway)]).unwrap();
    let condition = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Programmed").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&condition["reason"]), text(&condition["message"]))
}

/// The ports that the proxies of a Gateway bind, by listener.
fn bound(world: &World, gateway: &str) -> BTreeMap<String, u32> {
    let key = key(gateway);
    let scope = [Scope::gateway(&key.name.namespace, &key.name.name)];
    let names = world.seen(&scope, tombolo_proto::ResourceType::Listener).into_keys();
    let port = |name: &str| match world.listener(&scope, name).unwrap().address.unwrap().address.unwrap() {
        SocketAddress(socket) => match socket.port_specifier.unwrap() {
            tombolo_proto::envoy::envoy::config::core::v3::socket_address::PortSpecifier::PortValue(port) => port,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    names.map(|name| (name.trim_start_matches("0.0.0.0_").to_owned(), port(&name))).collect()
}

fn ports(ports: &[(&str, u32)]) -> BTreeMap<String, u32> {
    ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect()
}

#[test]
fn the_pods_of_the_service_are_the_gateways_ready_or_not() {
    let mut world = world(&[gateway("shop/a", 1, &[80]), service("", "{port: 80}")]);
    assert!(owners(&world).is_empty());
    world.apply(&slice("{port: 80}", false));
    assert_eq!(owners(&world), ["shop/a"], "of any namespace");
    assert_eq!(programmed(&world, "shop/a").0, "Pending");
    world.apply(&slice("{port: 80}", true));
    assert_eq!(programmed(&world, "shop/a").0, "Programmed");
    world.delete(&slice("{port: 80}", true));
    assert!(owners(&world).is_empty());
}

#[test]
fn a_service_is_one_gateways_that_of_its_namespace_before_the_oldest() {
    let both = [service("", "{port: 80}"), slice("{port: 80}", true)];
    let mut world = world(&[gateway("shop/b", 2, &[80]), gateway("shop/c", 1, &[80]), both.join("\n---\n")]);
    assert_eq!(owners(&world), ["shop/c"]);
    assert_eq!(programmed(&world, "shop/c").0, "Programmed");
    let (reason, message) = programmed(&world, "shop/b");
    assert_eq!(reason, "AddressNotUsable");
    assert!(message.contains("edge/ingress") && message.contains("shop/c"), "{message}");
    world.apply(&gateway("edge/own", 3, &[80]));
    assert_eq!(owners(&world), ["edge/own"]);
    assert_eq!(programmed(&world, "shop/c").0, "AddressNotUsable");
    world.delete(&gateway("edge/own", 3, &[80]));
    world.delete(&gateway("shop/c", 1, &[80]));
    assert_eq!((owners(&world), programmed(&world, "shop/b").0), (vec!["shop/b".to_owned()], "Programmed".to_owned()));
}

#[test]
fn a_service_of_another_namespace_permits_it() {
    let manifests = [gateway("shop/a", 1, &[80]), service("", "{port: 80}"), slice("{port: 80}", true)];
    let mut world = world(&manifests);
    assert_eq!(programmed(&world, "shop/a").0, "Programmed");
    world.delete(GRANT);
    assert!(owners(&world).is_empty(), "nobody decides what proxies of others serve");
    let (reason, message) = programmed(&world, "shop/a");
    assert_eq!(reason, "AddressNotUsable");
    assert!(message.contains("a ReferenceGrant there has to let Gateways of shop"), "{message}");
    world.apply(&gateway("edge/own", 2, &[80]));
    assert_eq!(
        (owners(&world), programmed(&world, "edge/own").0),
        (vec!["edge/own".to_owned()], "Programmed".to_owned())
    );
}

#[test]
fn pods_behind_two_services_serve_one_gateway_and_the_other_is_told() {
    let second = |text: String| text.replace("ingress", "internal");
    let manifests = [
        gateway("shop/a", 1, &[80]),
        second(gateway("shop/b", 2, &[80])),
        service("", "{port: 80}"),
        second(service("", "{port: 80}")),
        slice("{port: 80}", true),
        second(slice("{port: 80}", true)),
    ];
    let mut world = world(&manifests);
    assert_eq!(programmed(&world, "shop/a").0, "Programmed");
    let (reason, message) = programmed(&world, "shop/b");
    assert_eq!(reason, "AddressNotUsable");
    assert!(message.contains("edge/internal") && message.contains("shop/a"), "{message}");
    world.delete(&gateway("shop/a", 1, &[80]));
    assert_eq!((owners(&world), programmed(&world, "shop/b").0), (vec!["shop/b".to_owned()], "Programmed".to_owned()));
}

#[test]
fn a_service_that_is_made_for_a_gateway_is_nobody_elses() {
    let ours =
        "gateway.istio.io/managed: mesh.tombolo.dev-gateway-controller, gateway.networking.k8s.io/gateway-name: front";
    let world = world(&[gateway("edge/thief", 1, &[80]), service(ours, "{port: 80}"), slice("{port: 80}", true)]);
    assert!(owners(&world).is_empty());
    let (reason, message) = programmed(&world, "edge/thief");
    assert_eq!(reason, "AddressNotUsable");
    assert!(message.contains("is made for Gateway edge/front"), "{message}");
}

#[test]
fn proxies_listen_where_the_service_leads() {
    let gateway = gateway("shop/a", 1, &[80, 443]);
    let service = |ports: &str| service("", ports);
    let mut world = world(&[gateway]);
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 80), ("443", 443)]), "without a Service, as the Gateway says");
    world.apply(&service("{name: a, port: 80, targetPort: 8080}, {name: b, port: 443, targetPort: tls}"));
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 8080), ("443", 443)]), "no pod says what the name stands for");
    world.apply(&slice("{name: a, port: 8080}, {name: b, port: 8443}", true));
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 8080), ("443", 8443)]));
    assert_eq!(programmed(&world, "shop/a"), ("Programmed".into(), "".into()));
    // The slices of a Service without a selector are somebody's own: connections follow them.
    world.apply(&slice("{name: a, port: 9080}, {name: b, port: 9443}", true));
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 9080), ("443", 9443)]));
}

#[test]
fn two_ports_that_lead_to_one_are_told() {
    let mut world =
        world(&[gateway("shop/a", 1, &[80, 8080]), slice("{name: a, port: 8080}, {name: b, port: 8080}", true)]);
    world.apply(&service("", "{name: a, port: 80, targetPort: 8080}, {name: b, port: 8080}"));
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 8080)]));
    let (reason, message) = programmed(&world, "shop/a");
    assert_eq!(reason, "Programmed", "the other port is reached");
    assert!(message.contains("from ports 80 and 8080 to one port"), "{message}");
    world.apply(&service("", "{name: a, port: 80, targetPort: 8080}"));
    assert_eq!(bound(&world, "shop/a"), ports(&[("80", 8080)]), "nothing leads to port 8080, and it is taken");
    assert!(
        programmed(&world, "shop/a").1.contains("from port 8080 to any port"),
        "{:?}",
        programmed(&world, "shop/a")
    );
}
