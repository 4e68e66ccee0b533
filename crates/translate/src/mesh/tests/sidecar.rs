//! What workload proxies see: tables, listeners, and who sees which definition.

use crate::testing::{World, world};
use std::collections::BTreeMap;
use tombolo_core::ProxyKind;
use tombolo_proto::{ResourceType, Scope};

const TWO_SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.1.0.2, sessionAffinity: ClientIP, ports: [{name: tcp, port: 80}, {name: mysql, port: 3306}]}
";

fn entry(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
"
    )
}

fn sidecar(namespace: &str) -> Vec<Scope> {
    crate::scopes(ProxyKind::Sidecar, namespace, "", &crate::Variant::default(), crate::Interception::Captured)
}

/// The domains of each virtual host of a table, but the one for the unknown.
fn domains(world: &World, namespace: &str, table: &str) -> Vec<Vec<String>> {
    let table = world.table(&sidecar(namespace), table).unwrap();
    let mut hosts: Vec<_> = table.virtual_hosts.into_iter().map(|host| host.domains).collect();
    assert_eq!(hosts.remove(0), ["*"]);
    hosts.sort();
    hosts
}

/// `MATCH -> TARGET` for each chain of a listener, the default one last.
fn chains(world: &World, namespace: &str, listener: &str) -> Vec<String> {
    let Some(listener) = world.listener(&sidecar(namespace), listener) else { return Vec::new() };
    let chain = |chain: &tombolo_proto::envoy::envoy::config::listener::v3::FilterChain| {
        let m = chain.filter_chain_match.clone().unwrap_or_default();
        let ranges = m.prefix_ranges.iter().map(|r| format!("{}/{}", r.address_prefix, r.prefix_len.unwrap().value));
        let matches: Vec<String> = m.server_names.iter().cloned().chain(ranges).collect();
        format!("{} -> {}", matches.join(","), chain.name)
    };
    listener.filter_chains.iter().chain(&listener.default_filter_chain).map(chain).collect()
}

#[test]
fn a_service_has_its_short_name_in_its_own_namespace_only() {
    let mut world = world(TWO_SERVICES);
    world.connect(&["shop", "other"]);
    let long = ["reviews.shop.svc.cluster.local", "reviews.shop", "reviews.shop.svc"];
    assert_eq!(domains(&world, "other", "80"), [[&long[..], &["10.1.0.1"]].concat()]);
    assert_eq!(domains(&world, "shop", "80"), [[&long[..], &["reviews", "10.1.0.1"]].concat()]);
}

/// Otherwise a mesh would be kept once for each of its namespaces.
#[test]
fn tables_of_namespaces_share_what_is_not_their_own() {
    let namespaces: Vec<String> = (0..12).map(|n| format!("ns-{n}")).collect();
    let service = |namespace: &String, n: usize| {
        let metadata = format!("{{name: service-{n}, namespace: {namespace}}}");
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {metadata}\nspec: {{ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    let services = namespaces.iter().flat_map(|namespace| (0..40).map(move |n| service(namespace, n)));
    let mut world = world(&services.collect::<String>());
    world.connect(&namespaces.iter().map(String::as_str).collect::<Vec<_>>());
    let tables: Vec<_> = namespaces
        .iter()
        .map(|namespace| world.seen(&sidecar(namespace), ResourceType::Routes).remove("80").unwrap())
        .collect();
    let one: usize = tables[0].parts().iter().map(|part| part.bytes().len()).sum();
    let parts = tables.iter().flat_map(|table| table.parts());
    let distinct: BTreeMap<_, _> = parts.map(|part| (std::sync::Arc::as_ptr(part), part.bytes().len())).collect();
    let kept: usize = distinct.values().sum();
    // The mesh's own, and of each namespace its own services in what they stand among: names may meet in a group.
    assert!(kept < 4 * one, "{kept} bytes are kept for {} tables of {one}", tables.len());
}

#[test]
fn http_shares_a_port_and_all_else_has_its_address() {
    let mut world = world(TWO_SERVICES);
    world.connect(&["shop"]);
    assert_eq!(chains(&world, "shop", "0.0.0.0_80"), [" -> 80"]);
    assert_eq!(chains(&world, "shop", "10.1.0.2_80"), [" -> outbound|80||db.shop.svc.cluster.local"]);
    assert_eq!(chains(&world, "shop", "10.1.0.2_3306"), [" -> outbound|3306||db.shop.svc.cluster.local"]);
    assert_eq!(chains(&world, "shop", "virtualOutbound").len(), 2);
    let clusters: Vec<_> = world.seen(&sidecar("shop"), ResourceType::Cluster).into_keys().collect();
    assert_eq!(clusters.len(), 5, "{clusters:?}");
    assert!(world.engine.problems().is_empty());
}

#[test]
fn services_without_an_address_are_told_apart_by_what_can_be_seen() {
    let tls = entry(
        "tls",
        "shop",
        "hosts: ['*.example.com', example.org], resolution: NONE, ports: [{number: 443, name: tls}]",
    );
    let net = entry(
        "net",
        "shop",
        "hosts: [a.net], addresses: [10.9.0.0/16], resolution: NONE, ports: [{number: 443, name: tcp}]",
    );
    let raw = entry("raw", "shop", "hosts: [b.net], resolution: STATIC, ports: [{number: 443, name: tcp}]");
    let mut world = world(&[TWO_SERVICES, &tls, &net].concat());
    world.connect(&["shop"]);
    let told_apart = [
        "10.9.0.0/16 -> outbound|443||a.net",
        "*.example.com -> outbound|443||*.example.com",
        "example.org -> outbound|443||example.org",
    ];
    assert_eq!(chains(&world, "shop", "0.0.0.0_443"), [&told_apart[..], &[" -> PassthroughCluster"]].concat());
    world.apply(&raw);
    assert_eq!(chains(&world, "shop", "0.0.0.0_443"), [&told_apart[..], &[" -> outbound|443||b.net"]].concat());
    world.apply(&raw.replace("b.net", "c.net").replace("name: raw", "name: raw2"));
    let problems: Vec<_> = world.engine.problems().iter().map(|p| p.object.to_string()).collect();
    assert_eq!(problems, ["ServiceEntry shop/raw2"]);
}

#[test]
fn a_tcp_service_without_an_address_cannot_share_a_port_with_http() {
    let raw = entry("raw", "shop", "hosts: [b.net], resolution: STATIC, ports: [{number: 80, name: tcp}]");
    let mut world = world(&[TWO_SERVICES, &raw].concat());
    world.connect(&["shop"]);
    assert_eq!(chains(&world, "shop", "0.0.0.0_80"), [" -> 80"]);
    let problems = world.engine.problems();
    assert_eq!(
        problems.iter().map(|p| (p.reason, p.object.to_string())).collect::<Vec<_>>(),
        [("PortConflict", "ServiceEntry shop/raw".to_owned())]
    );
}

#[test]
fn export_says_who_sees_which_definition() {
    let http = "resolution: STATIC, ports: [{number: 80, name: http}], hosts: [api.example.com]";
    let public = entry("api", "a", &format!("{http}, endpoints: [{{address: 10.0.0.1}}]"));
    let own = entry("api", "b", &format!("{http}, endpoints: [{{address: 10.0.0.2}}], exportTo: ['.']"));
    let told = entry("api", "c", &format!("{http}, endpoints: [{{address: 10.0.0.3}}], exportTo: [d]"));
    let mut world = world(&[public, own, told].concat());
    world.connect(&["a", "b", "c", "d"]);
    let seen = |namespace| {
        let assignment = world.assignment(&sidecar(namespace), "outbound|80||api.example.com").unwrap();
        crate::testing::addresses(&assignment).concat()
    };
    // c's own is not exported to c; d is told of c's, but a's is older by name.
    assert_eq!(["a", "b", "c", "d"].map(seen), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80", "10.0.0.1:80"]);
    world.delete(&entry("api", "a", http));
    let seen = |namespace| world.assignment(&sidecar(namespace), "outbound|80||api.example.com").is_some();
    assert_eq!(["a", "b", "c", "d"].map(seen), [false, true, false, true]);
    assert_eq!(domains(&world, "d", "80"), [["api.example.com"]]);
    assert!(world.table(&sidecar("a"), "80").is_none());
}

#[test]
fn a_name_or_an_address_stands_in_a_table_once() {
    let thief = entry(
        "thief",
        "shop",
        "hosts: [reviews.shop], addresses: [10.1.0.1], resolution: STATIC, ports: [{number: 80, name: http}]",
    );
    let mut world = world(&[TWO_SERVICES, &thief].concat());
    world.connect(&["shop", "other"]);
    let expected = |short: &[&str]| {
        let names = [&["reviews.shop.svc.cluster.local", "reviews.shop.svc"], short, &["10.1.0.1"]].concat();
        vec![vec!["reviews.shop".to_owned()], names.into_iter().map(str::to_owned).collect()]
    };
    assert_eq!(domains(&world, "other", "80"), expected(&[]));
    assert_eq!(domains(&world, "shop", "80"), expected(&["reviews"]));
}

#[test]
fn what_is_unknown_goes_on_or_nowhere_as_the_mesh_says() {
    let mut world = world(TWO_SERVICES);
    world.connect(&["shop"]);
    let unknown = |world: &World| {
        let table = world.table(&sidecar("shop"), "80").unwrap();
        (table.virtual_hosts[0].name.clone(), chains(world, "shop", "virtualOutbound")[1].clone())
    };
    assert_eq!(unknown(&world), ("allow_any".into(), " -> virtualOutbound-catchall-tcp".into()));
    let before = world.listener(&sidecar("shop"), "virtualOutbound");
    world.apply(
        "
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
spec: {mesh: {outboundTraffic: RegistryOnly}}
",
    );
    assert_eq!(unknown(&world).0, "block_all");
    assert_ne!(world.listener(&sidecar("shop"), "virtualOutbound"), before);
}

#[test]
fn a_namespace_with_its_own_definition_sees_no_other_ports() {
    let ports = "resolution: STATIC, hosts: [api.example.com], ports: [{number: 80, name: http}";
    let public = entry("api", "a", &format!("{ports}, {{number: 81, name: http-admin}}]"));
    let own = entry("api", "b", &format!("{ports}], exportTo: ['.']"));
    let mut world = world(&[TWO_SERVICES, &public, &own].concat());
    world.connect(&["a", "b"]);
    assert_eq!(domains(&world, "a", "81"), [["api.example.com"]]);
    assert_eq!(domains(&world, "b", "81"), Vec::<Vec<String>>::new());
    assert_eq!(domains(&world, "b", "80").len(), 2);
    world.delete(&own);
    assert_eq!(domains(&world, "b", "81"), [["api.example.com"]]);
}

#[test]
fn namespaces_without_sidecars_cost_nothing() {
    let own = entry(
        "api",
        "b",
        "resolution: STATIC, hosts: [api.example.com], ports: [{number: 80, name: http}], exportTo: ['.']",
    );
    let mut world = world(&own);
    assert_eq!(world.everything().len(), 0);
    world.connect(&["b"]);
    assert!(world.table(&sidecar("b"), "80").is_some());
}
