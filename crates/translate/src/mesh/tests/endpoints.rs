//! Where a service's endpoints come from, and who prefers which.

use crate::testing::{World, addresses, world};
use tombolo_proto::{
    Scope,
    envoy::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType},
};

const REVIEWS: &str = "outbound|80||reviews.shop.svc.cluster.local";
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}]}
";

/// A slice of `reviews` with these endpoints, as YAML flow mappings.
fn slice(name: &str, endpoints: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{endpoints}]
"
    )
}

fn documents(parts: &[&str]) -> String {
    parts.join("\n---\n")
}

fn public(world: &World, name: &str) -> Vec<String> {
    addresses(&world.assignment(&[Scope::public()], name).unwrap())
}

#[test]
fn slices_of_a_service_are_one_set_without_repetitions() {
    let a = slice("a", "{addresses: [10.0.0.2]}, {addresses: [10.0.0.1], conditions: {ready: false}}");
    let b = slice(
        "b",
        "{addresses: [10.0.0.1]}, {addresses: [10.0.0.10]}, {addresses: [10.0.0.9], conditions: {ready: false}}",
    );
    let world = world(&documents(&[SERVICE, &a, &b]));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.10:8080"]);
    let cluster = world.cluster(&[Scope::public()], REVIEWS).unwrap();
    assert_eq!(cluster.cluster_discovery_type, Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())));
    assert!(world.cluster(&[Scope::public()], "outbound|53||reviews.shop.svc.cluster.local").is_none());
}

#[test]
fn what_terminates_drains_and_serves_where_nothing_else_does() {
    let going = "{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}";
    let gone = "{addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}}";
    let mut world = world(&documents(&[SERVICE, &slice("a", &format!("{going}, {gone}, {{addresses: [10.0.0.3]}}"))]));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080 DRAINING", "10.0.0.3:8080"]);
    world.apply(&slice("a", &format!("{going}, {gone}")));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080"]);
    world.apply(&slice("a", ""));
    assert_eq!(public(&world, REVIEWS), Vec::<String>::new());
}

#[test]
fn addresses_that_are_not_ready_count_where_the_service_says_so() {
    let service = SERVICE.replace("spec: {", "spec: {publishNotReadyAddresses: true, ");
    let world = world(&documents(&[&service, &slice("a", "{addresses: [10.0.0.1], conditions: {ready: false}}")]));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080"]);
}

#[test]
fn inline_endpoints_are_served_as_they_are_written() {
    let world = world(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vm, namespace: shop}
spec:
  hosts: [vm.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8000}, {number: 90, name: raw}]
  endpoints:
  - {address: 192.168.0.2, weight: 3, ports: {http: 9000}, locality: eu/a/r1}
  - {address: 192.168.0.1}
  - {address: 'unix:///run/vm.sock', ports: {http: 1}}
",
    );
    let http = ["192.168.0.1:8000", "/run/vm.sock", "192.168.0.2:9000 weight 3"];
    assert_eq!(public(&world, "outbound|80||vm.example.com"), http);
    assert_eq!(
        public(&world, "outbound|90||vm.example.com"),
        ["192.168.0.1:90", "/run/vm.sock", "192.168.0.2:90 weight 3"]
    );
}
