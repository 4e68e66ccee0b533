//! Where a service's endpoints come from, and who prefers which.

use crate::{
    Variant,
    testing::{World, addresses, world},
};
use tombolo_core::ProxyKind;
use tombolo_proto::{
    ResourceType, Scope,
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
",
    );
    let http = ["192.168.0.1:8000", "192.168.0.2:9000 weight 3"];
    assert_eq!(public(&world, "outbound|80||vm.example.com"), http);
    assert_eq!(public(&world, "outbound|90||vm.example.com"), ["192.168.0.1:90", "192.168.0.2:90 weight 3"]);
}

#[test]
fn a_unix_socket_is_an_endpoint() {
    let world = world(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: local, namespace: shop}
spec:
  hosts: [local.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 'unix:///run/vm.sock'}]
",
    );
    assert_eq!(public(&world, "outbound|80||local.example.com"), ["/run/vm.sock"]);
}

const MACHINES: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec:
  metadata: {labels: {app: reviews, version: group}}
  template: {ports: {web: 9090}, weight: 5, locality: eu/a, network: dc, serviceAccount: reviews, labels: {version: template, tier: back}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm1, namespace: shop, annotations: {istio.io/autoRegistrationGroup: machines}}
spec: {address: 192.168.0.1}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm2, namespace: shop, labels: {app: reviews}}
spec: {address: 192.168.0.2, ports: {web: 7070}, weight: 2, labels: {app: overruled}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm3, namespace: shop, labels: {app: reviews}}
spec: {address: 192.168.0.3}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm4, namespace: elsewhere, labels: {app: reviews}}
spec: {address: 192.168.0.4, ports: {web: 7070}}
";

#[test]
fn a_service_selects_machines_too() {
    let mut world = world(&documents(&[SERVICE, &slice("a", "{addresses: [10.0.0.1]}"), MACHINES]));
    // vm3 has no port of the name that the Service targets.
    let all = ["10.0.0.1:8080", "192.168.0.2:7070 weight 2", "192.168.0.1:9090 weight 5"];
    assert_eq!(public(&world, REVIEWS), all);
    let assignment = world.assignment(&[Scope::public()], REVIEWS).unwrap();
    let of_vm1 = &assignment.endpoints[1];
    assert_eq!(of_vm1.locality.as_ref().map(|l| (&*l.region, &*l.zone)), Some(("eu", "a")));
    let metadata = of_vm1.lb_endpoints[0].metadata.as_ref().unwrap();
    assert!(format!("{metadata:?}").contains("vm1;shop;;;"), "{metadata:?}");
    world.apply(&SERVICE.replace("app: reviews}", "app: reviews, version: group}"));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080", "192.168.0.1:9090 weight 5"]);
    world.apply(&MACHINES.replace("version: group}}", "version: two}}"));
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080"]);
}

#[test]
fn an_entry_selects_machines_by_label() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: machines, namespace: shop}
spec:
  hosts: [machines.example.com]
  resolution: STATIC
  ports: [{number: 80, name: web, targetPort: 8000}]
  workloadSelector: {labels: {app: reviews}}
";
    let mut world = world(&documents(&[entry, MACHINES]));
    let name = "outbound|80||machines.example.com";
    assert_eq!(public(&world, name), ["192.168.0.2:7070 weight 2", "192.168.0.3:8000", "192.168.0.1:9090 weight 5"]);
    let before = world.everything();
    let machine = MACHINES.split("---").nth(2).unwrap();
    let outcome = world.apply(&machine.replace("address: 192.168.0.2", "address: 192.168.0.9"));
    let changed: Vec<_> = outcome.changes.iter().map(|change| (change.kind, &*change.name)).collect();
    assert_eq!(changed, [(ResourceType::Endpoints, name)]);
    world.apply(machine);
    assert_eq!(world.everything(), before);
}

#[test]
fn a_change_of_an_endpoint_rebuilds_what_shows_it_and_nothing_else() {
    let mut world = world(&documents(&[SERVICE, &slice("a", "{addresses: [10.0.0.1]}")]));
    world.connect(&["shop"]);
    let outcome = world.apply(&slice("a", "{addresses: [10.0.0.2]}"));
    assert_eq!((outcome.built, outcome.changes.len()), (2, 1));
    let outcome = world.apply(&slice("a", "{addresses: [10.0.0.2], conditions: {ready: true}}"));
    assert_eq!((outcome.built, outcome.changes.len()), (1, 0));
}

fn variant(zone: &str, node: &str, ipv4: bool, ipv6: bool) -> Variant {
    Variant { zone: zone.into(), node: node.into(), ipv4, ipv6 }
}

/// What proxies of these variants see of `reviews`, all of them connected.
fn seen_by(yaml: &str, variants: &[Variant]) -> Vec<Vec<String>> {
    let mut world = world(yaml);
    variants.iter().for_each(|variant| world.connect_variant(variant));
    let seen = |variant| {
        let scopes = crate::scopes(ProxyKind::Sidecar, "shop", "", variant, crate::Interception::Captured);
        addresses(&world.assignment(&scopes, REVIEWS).unwrap())
    };
    variants.iter().map(seen).collect()
}

#[test]
fn hints_say_whose_endpoints_are_whose_if_all_have_them() {
    let hint = |address: &str, zone: &str| {
        format!("{{addresses: [{address}], zone: {zone}, hints: {{forZones: [{{name: {zone}}}]}}}}")
    };
    let hinted = [hint("10.0.0.1", "a"), hint("10.0.0.2", "b")].join(", ");
    let proxies = [variant("a", "", true, false), variant("b", "n", true, true), variant("c", "", true, false)];
    let all = ["10.0.0.1:8080", "10.0.0.2:8080"];
    let seen = seen_by(&documents(&[SERVICE, &slice("a", &hinted)]), &proxies);
    assert_eq!(seen, [vec![all[0]], vec![all[1]], all.to_vec()]);
    let partly = hinted + ", {addresses: [10.0.0.3]}";
    let seen = seen_by(&documents(&[SERVICE, &slice("a", &partly)]), &proxies);
    assert!(seen.iter().all(|seen| seen.len() == 3), "{seen:?}");
}

#[test]
fn what_is_near_comes_first_where_the_service_prefers_it() {
    let endpoints = "{addresses: [10.0.0.1], zone: a, nodeName: n1}, {addresses: [10.0.0.2], zone: a, nodeName: n2}, {addresses: [10.0.0.3], zone: b, nodeName: n3}";
    let proxies = [variant("a", "n1", true, false), variant("b", "n9", true, false), variant("c", "n9", true, false)];
    let near = |preferred: &[usize]| -> Vec<String> {
        let all = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];
        let (first, last): (Vec<_>, Vec<_>) = (0..3).partition(|i| preferred.contains(i));
        let first = first.iter().map(|i| all[*i].to_owned());
        first.chain(last.iter().map(|i| format!("{} priority 1", all[*i]))).collect()
    };
    let cases: [(&str, [&[usize]; 3]); 3] = [
        ("PreferClose", [&[0, 1], &[2], &[0, 1, 2]]),
        ("PreferSameZone", [&[0, 1], &[2], &[0, 1, 2]]),
        ("PreferSameNode", [&[0], &[2], &[0, 1, 2]]),
    ];
    for (word, expected) in cases {
        let service = SERVICE.replace("spec: {", &format!("spec: {{trafficDistribution: {word}, "));
        let seen = seen_by(&documents(&[&service, &slice("a", endpoints)]), &proxies);
        assert_eq!(seen, expected.map(near), "{word}");
    }
}

#[test]
fn a_proxy_of_one_address_family_sees_that_family() {
    let six = slice("six", "{addresses: ['2001:db8::1']}").replace("IPv4", "IPv6");
    let yaml = documents(&[SERVICE, &slice("four", "{addresses: [10.0.0.1]}"), &six]);
    let proxies = [variant("", "", true, false), variant("a", "", false, true), variant("", "", true, true)];
    let (four, six) = ("10.0.0.1:8080", "2001:db8::1:8080");
    assert_eq!(seen_by(&yaml, &proxies), [vec![four], vec![six], vec![four, six]]);
}

#[test]
fn names_are_resolved_by_the_cluster() {
    let fqdn = slice("a", "{addresses: [a.example.com]}").replace("IPv4", "FQDN");
    let mut world = world(&documents(&[SERVICE, &fqdn]));
    let cluster = |world: &World| world.cluster(&[Scope::public()], REVIEWS).unwrap();
    assert_eq!(addresses(&cluster(&world).load_assignment.unwrap()), ["a.example.com:8080"]);
    assert!(world.assignment(&[Scope::public()], REVIEWS).is_none());
    world.apply(&slice("a", "{addresses: [10.0.0.1]}"));
    assert_eq!(cluster(&world).load_assignment, None);
    assert_eq!(public(&world, REVIEWS), ["10.0.0.1:8080"]);
}

#[test]
fn a_resolved_host_without_endpoints_is_its_own() {
    let world = world(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: shop}
spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 80, name: http, targetPort: 8080}]}
",
    );
    let cluster = world.cluster(&[Scope::public()], "outbound|80||api.example.com").unwrap();
    assert_eq!(addresses(&cluster.load_assignment.unwrap()), ["api.example.com:8080"]);
}
