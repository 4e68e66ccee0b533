//! Who is spoken to by mutual TLS, who may answer, and what listens for workloads with a local agent.

use crate::{
    Interception, Variant,
    engine::{Fact, Relation},
    testing::{World, addresses, world},
};
use prost::Message as _;
use std::collections::BTreeMap;
use tombolo_core::ProxyKind;
use tombolo_proto::{
    Change, Ref, ResourceType, Scope,
    envoy::{
        envoy::{
            config::{
                cluster::v3::Cluster, endpoint::v3::LbEndpoint, listener::v3::FilterChain,
                listener::v3::filter_chain_match::ConnectionSourceType,
            },
            extensions::transport_sockets::tls::v3::{Secret, secret},
            r#type::matcher::v3::string_matcher::MatchPattern,
        },
        google::protobuf::value::Kind,
    },
};

const REVIEWS: &str = "outbound|80||reviews.shop.svc.cluster.local";
const IDENTITIES: &str = "san|80|reviews.shop.svc.cluster.local";
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: 8080}]}
";
const STRICT: &str = "
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
spec: {mesh: {mtls: {mode: STRICT}}}
";

fn public() -> [Scope; 1] {
    [Scope::public()]
}

/// A workload of `reviews`.
fn workload(name: &str, address: &str, tls_mode: &str, account: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop, labels: {{app: reviews, security.istio.io/tlsMode: {tls_mode}}}}}
spec: {{address: {address}, serviceAccount: '{account}'}}
"
    )
}

/// A workload of `reviews` with a local agent.
fn local(name: &str, address: &str, ports: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop, labels: {{app: reviews}}, annotations: {{mesh.tombolo.dev/agent: local}}}}
spec: {{address: {address}, ports: {ports}}}
"
    )
}

fn trusting(parts: &[&str]) -> World {
    let mut world = world(&parts.join("\n---\n"));
    world.trust(&["ROOT"]);
    world
}

/// The identities and the roots of a validation context.
fn accepted(secret: Secret) -> (Vec<String>, String) {
    let Some(secret::Type::ValidationContext(context)) = secret.r#type else { panic!("not for validation") };
    let exact = |m: MatchPattern| match m {
        MatchPattern::Exact(text) => text,
        other => panic!("{other:?}"),
    };
    let matchers = context.match_typed_subject_alt_names.into_iter();
    let names = matchers.map(|m| exact(m.matcher.unwrap().match_pattern.unwrap())).collect();
    let roots = context.trusted_ca.and_then(|ca| ca.specifier);
    use tombolo_proto::envoy::envoy::config::core::v3::data_source::Specifier;
    let Some(Specifier::InlineString(roots)) = roots else { panic!("{roots:?}") };
    (names, roots)
}

fn identities(world: &World) -> Vec<String> {
    accepted(world.secret(&public(), IDENTITIES).unwrap()).0
}

/// The `tlsMode` that each endpoint is matched by, by address.
fn modes(world: &World) -> BTreeMap<String, Option<String>> {
    let assignment = world.assignment(&public(), REVIEWS).unwrap();
    let mode = |endpoint: &LbEndpoint| {
        let metadata = endpoint.metadata.as_ref()?.filter_metadata.get("envoy.transport_socket_match")?;
        match metadata.fields.get("tlsMode")?.kind.clone()? {
            Kind::StringValue(text) => Some(text),
            other => panic!("{other:?}"),
        }
    };
    let endpoints = assignment.endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
    addresses(&assignment).into_iter().zip(endpoints.map(mode)).collect()
}

fn chains(world: &World, workload: &str, listener: &str) -> Option<Vec<String>> {
    let scopes = crate::scopes(ProxyKind::Sidecar, "shop", workload, &Variant::default(), Interception::Explicit);
    let listener = world.listener(&scopes, listener)?;
    let name = |chain: &FilterChain| {
        let tls = if chain.transport_socket.is_some() { " with a certificate" } else { "" };
        format!("{}{tls}", chain.name)
    };
    Some(listener.filter_chains.iter().chain(&listener.default_filter_chain).map(name).collect())
}

#[test]
fn each_endpoint_is_spoken_to_as_it_has_a_proxy_or_not() {
    let world = trusting(&[
        SERVICE,
        &workload("a", "10.0.0.1", "istio", "reviews"),
        &workload("b", "10.0.0.2", "disabled", "other"),
    ]);
    let istio = Some("istio".to_owned());
    assert_eq!(modes(&world), [("10.0.0.1:8080".to_owned(), istio), ("10.0.0.2:8080".to_owned(), None)].into());
    assert_eq!(identities(&world), ["spiffe://cluster.local/ns/shop/sa/reviews"]);
    let matches = world.cluster(&public(), REVIEWS).unwrap().transport_socket_matches;
    assert_eq!(matches.iter().map(|m| &*m.name).collect::<Vec<_>>(), ["tlsMode-istio", "tlsMode-disabled"]);
}

#[test]
fn nobody_may_answer_where_no_identity_is_known() {
    let nobody = ["spiffe://nobody.invalid"];
    let mut world = trusting(&[SERVICE]);
    assert_eq!(identities(&world), nobody, "no endpoint");
    world.apply(&workload("a", "10.0.0.1", "disabled", "reviews"));
    assert_eq!(identities(&world), nobody, "no proxy");
    world.apply(&workload("a", "10.0.0.1", "istio", "of/nobody"));
    assert_eq!(identities(&world), nobody, "an account that no certificate can name");
    world.apply(&workload("b", "10.0.0.2", "istio", ""));
    assert_eq!(identities(&world), ["spiffe://cluster.local/ns/shop/sa/default"], "the account of whoever names none");
}

#[test]
fn identities_are_of_every_trust_domain() {
    let settings =
        STRICT.replace("mtls: {mode: STRICT}", "trustDomain: new.example, trustDomainAliases: [cluster.local]");
    let world = trusting(&[SERVICE, &workload("a", "10.0.0.1", "istio", "reviews"), &settings]);
    let expected = ["spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://new.example/ns/shop/sa/reviews"];
    assert_eq!(identities(&world), expected);
}

/// Settings change at once, certificates when the control plane is started again: until then both count.
#[test]
fn the_trust_domain_that_is_issued_counts_beside_that_of_the_settings() {
    let settings = STRICT.replace("mtls: {mode: STRICT}", "trustDomain: new.example");
    let mut world = trusting(&[SERVICE, &workload("a", "10.0.0.1", "istio", "reviews"), &settings]);
    assert_eq!(identities(&world), ["spiffe://new.example/ns/shop/sa/reviews"]);
    world.insert(vec![(Relation::Trust, Fact::Name("cluster.local".into()))]);
    let expected = ["spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://new.example/ns/shop/sa/reviews"];
    assert_eq!(identities(&world), expected);
}

#[test]
fn endpoints_that_come_and_go_never_change_the_cluster() {
    let mut world = trusting(&[SERVICE]);
    let version = |world: &World| world.seen(&public(), ResourceType::Cluster)[REVIEWS].version();
    let before = version(&world);
    let outcome = world.apply(&workload("a", "10.0.0.1", "istio", "reviews"));
    // The names of a headless Service follow its endpoints: they are not what Envoy holds.
    let held = |change: &&Change| change.kind != ResourceType::Name;
    let changed: Vec<_> = outcome.changes.iter().filter(held).map(|change| (change.kind, &*change.name)).collect();
    assert_eq!(changed, [(ResourceType::Endpoints, REVIEWS), (ResourceType::Secret, IDENTITIES)]);
    // Another endpoint of the same identity touches the endpoints alone.
    let outcome = world.apply(&workload("b", "10.0.0.2", "istio", "reviews"));
    let changed: Vec<_> = outcome.changes.iter().filter(held).map(|change| change.kind).collect();
    assert_eq!(changed, [ResourceType::Endpoints]);
    assert_eq!(version(&world), before);
}

#[test]
fn new_roots_change_secrets_alone_and_both_are_trusted_in_between() {
    let mut world =
        trusting(&[SERVICE, &workload("a", "10.0.0.1", "istio", "reviews"), &local("vm", "127.0.0.5", "{}")]);
    let both = world.trust(&["ROOT", "SECOND"]);
    assert_eq!(accepted(world.secret(&public(), IDENTITIES).unwrap()).1, "ROOT\nSECOND\n");
    let new = world.trust(&["SECOND"]);
    assert_eq!(accepted(world.secret(&public(), IDENTITIES).unwrap()).1, "SECOND\n");
    for change in both.changes.iter().chain(&new.changes) {
        assert_eq!((change.kind, &*change.name), (ResourceType::Secret, IDENTITIES));
    }
}

#[test]
fn the_roots_are_encoded_once_for_all_services() {
    let world = trusting(&[SERVICE, &SERVICE.replace("reviews", "ratings")]);
    let secrets: Vec<_> = world.seen(&public(), ResourceType::Secret).into_values().collect();
    let roots: Vec<_> = secrets.iter().map(|secret| secret.parts()[1].bytes().as_ptr()).collect();
    assert_eq!(roots.len(), 2);
    assert_eq!(roots[0], roots[1]);
}

#[test]
fn a_cluster_names_its_identities_for_whoever_sends_them_after_it() {
    let world = trusting(&[SERVICE]);
    let cluster = &world.seen(&public(), ResourceType::Cluster)[REVIEWS];
    let identities = Ref { kind: ResourceType::Secret, name: IDENTITIES.into() };
    assert!(cluster.refs().any(|named| *named == identities));
}

#[test]
fn without_roots_nothing_is_said_of_tls() {
    let mut world = world(&[SERVICE, &workload("a", "10.0.0.1", "istio", "reviews")].join("\n---\n"));
    let plain = |world: &World| {
        let cluster = world.cluster(&public(), REVIEWS).unwrap();
        cluster.transport_socket_matches.is_empty() && world.secret(&public(), IDENTITIES).is_none()
    };
    assert!(plain(&world));
    assert_eq!(addresses(&world.assignment(&public(), REVIEWS).unwrap()), ["10.0.0.1:8080"]);
    // Whoever would refuse plaintext is sent none.
    world.apply(STRICT);
    assert!(plain(&world));
    assert_eq!(addresses(&world.assignment(&public(), REVIEWS).unwrap()), ["10.0.0.1:8080 UNHEALTHY"]);
    world.trust(&["ROOT"]);
    assert!(!plain(&world));
    assert_eq!(addresses(&world.assignment(&public(), REVIEWS).unwrap()), ["10.0.0.1:8080"]);
    world.trust(&[" "]);
    assert!(plain(&world), "a blank bundle is none");
}

#[test]
fn only_what_may_have_a_proxy_behind_it_is_spoken_to_by_tls() {
    let entry = |name: &str, spec: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [{name}.example.com], ports: [{{number: 80, name: http}}], {spec}}}
"
        )
    };
    let world = trusting(&[
        &entry("static", "resolution: STATIC"),
        &entry("selecting", "resolution: DNS, workloadSelector: {labels: {app: reviews}}"),
        &entry("outside", "resolution: DNS"),
        &entry("original", "resolution: NONE"),
        &entry(
            "labelled",
            "resolution: DNS, endpoints: [{address: a.net, labels: {security.istio.io/tlsMode: istio}}]",
        ),
    ]);
    let clusters = world.seen(&public(), ResourceType::Cluster);
    let secured = clusters.iter().filter(|(_, resource)| {
        let cluster = Cluster::decode(resource.value()).unwrap();
        !cluster.transport_socket_matches.is_empty()
    });
    let secured: Vec<&str> = secured.map(|(name, _)| &**name).collect();
    let expected = ["labelled", "selecting", "static"].map(|name| format!("outbound|80||{name}.example.com"));
    assert_eq!(secured, expected);
}

#[test]
fn a_local_agent_lets_in_whom_the_mesh_says() {
    let mut world = trusting(&[SERVICE, &local("vm", "127.0.0.5", "{tcp: 7070}")]);
    let mutual = "mutual-tls with a certificate";
    assert_eq!(chains(&world, "vm", "127.0.0.5_8080").unwrap(), [mutual, "plaintext", "bytes"]);
    assert_eq!(chains(&world, "vm", "127.0.0.5_7070").unwrap(), [mutual, "bytes"]);
    world.apply(STRICT);
    assert_eq!(chains(&world, "vm", "127.0.0.5_8080").unwrap(), [mutual]);
    assert_eq!(chains(&world, "vm", "127.0.0.5_7070").unwrap(), [mutual]);
    world.trust(&[]);
    assert_eq!(chains(&world, "vm", "127.0.0.5_8080"), None, "nobody could prove who he is");
    assert_eq!(world.engine.problems().iter().map(|p| p.reason).collect::<Vec<_>>(), ["NoRoots"]);
    world.delete(STRICT);
    assert_eq!(chains(&world, "vm", "127.0.0.5_8080").unwrap(), ["plaintext", "bytes"]);
    assert_eq!(chains(&world, "vm", "127.0.0.5_7070").unwrap(), ["bytes"]);
}

#[test]
fn a_local_agent_needs_an_address_of_its_own() {
    let reason = |world: &World| world.engine.problems().iter().map(|p| p.reason).collect::<Vec<_>>();
    for address in ["127.0.0.1", "0.0.0.0", "'::'", "vm.example.com", "'unix:///run/vm.sock'"] {
        let mut world = trusting(&[SERVICE]);
        world.apply(&local("vm", address, "{}"));
        assert_eq!(reason(&world), ["InvalidAddress"], "{address}");
        assert!(world.engine.resources().all(|(scope, _)| !scope.as_str().starts_with("workload/")), "{address}");
    }
    let mut world = trusting(&[SERVICE, &local("a", "127.0.0.5", "{}"), &local("b", "127.0.0.5", "{}")]);
    assert_eq!(reason(&world), ["AddressConflict"]);
    world.delete(&local("a", "127.0.0.5", "{}"));
    assert!(world.engine.problems().is_empty() && chains(&world, "b", "127.0.0.5_8080").is_some());
}

#[test]
fn who_comes_later_takes_no_address_away() {
    let made = |name: &str, second: u8| {
        let time = format!("namespace: shop, creationTimestamp: '2026-01-01T00:00:0{second}Z'");
        local(name, "127.0.0.5", "{}").replace("namespace: shop", &time)
    };
    let mut world = trusting(&[SERVICE, &made("b", 1)]);
    world.apply(&made("a", 2));
    assert!(chains(&world, "b", "127.0.0.5_8080").is_some() && chains(&world, "a", "127.0.0.5_8080").is_none());
    assert_eq!(
        world.engine.problems().iter().map(|p| p.object.to_string()).collect::<Vec<_>>(),
        ["WorkloadEntry shop/a"]
    );
}

#[test]
fn the_http_proxy_listens_to_its_own_machine_alone() {
    let world = trusting(&[&local("vm", "10.4.0.1", "{}")]);
    let listener = world.listener(&[Scope::workload("shop", "vm")], "10.4.0.1_15001").unwrap();
    assert!(listener.default_filter_chain.is_none());
    for chain in listener.filter_chains {
        assert_eq!(chain.filter_chain_match.unwrap().source_type(), ConnectionSourceType::SameIpOrLoopback);
    }
}

#[test]
fn one_edited_service_touches_one_virtual_host_of_the_proxies_table() {
    let mut world = trusting(&[SERVICE, &local("vm", "127.0.0.5", "{}")]);
    world.connect(&["shop"]);
    let table = world.table(&[Scope::public()], "http_proxy").unwrap();
    let domains: Vec<_> = table.virtual_hosts.iter().map(|host| host.domains.clone()).collect();
    let names = ["reviews.shop.svc.cluster.local", "reviews.shop", "reviews.shop.svc"].map(str::to_owned);
    let with_port = names.iter().map(|name| format!("{name}:80"));
    assert_eq!(domains, [vec!["*".to_owned()], with_port.chain(names.clone()).collect()]);
    // The same parts but one, whatever the number of services.
    let mut many = (0..40).map(|i| SERVICE.replace("reviews", &format!("s{i}"))).collect::<Vec<_>>();
    world.apply(&many.join("\n---\n"));
    let before = world.seen(&[Scope::public()], ResourceType::Routes)["http_proxy"].clone();
    world.apply(&many.remove(7).replace("name: http, port: 80", "name: http, port: 81"));
    let after = world.seen(&[Scope::public()], ResourceType::Routes)["http_proxy"].clone();
    assert_eq!(before.parts().len(), after.parts().len());
    let different = before.parts().iter().zip(after.parts()).filter(|(a, b)| a != b).count();
    assert_eq!(different, 1);
}

#[test]
fn without_local_agents_there_is_no_proxies_table() {
    let mut world = trusting(&[SERVICE]);
    assert!(world.table(&[Scope::public()], "http_proxy").is_none());
    world.apply(&local("vm", "127.0.0.5", "{}"));
    assert!(world.table(&[Scope::public()], "http_proxy").is_some());
    world.delete(&local("vm", "127.0.0.5", "{}"));
    assert!(world.table(&[Scope::public()], "http_proxy").is_none());
}
