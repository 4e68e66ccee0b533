use crate::{
    engine::{Fact, Relation},
    gateway_api::Rejected,
    names,
    testing::World,
};
use serde_json::{Value, json};
use tombolo_api::{AnyObject, Kind, ObjectKey, manifest};
use tombolo_core::{NamespacedName, Port, SourceId};
use tombolo_proto::{
    ResourceType, Scope,
    envoy::envoy::config::route::v3::{RouteConfiguration, VirtualHost},
};

/// An object as an API server stores it.
fn stored(kind: &str, name: &str, spec: &Value) -> AnyObject {
    let document = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "infra"}, "spec": spec,
    });
    let decoded = manifest::decode_stored(document);
    decoded.object.unwrap_or_else(|| panic!("{:?}", decoded.problems))
}

fn status(world: &World, kind: Kind, name: &str) -> Value {
    let key = ObjectKey { source: SourceId::new("test"), kind, name: NamespacedName::new("infra", name) };
    let statuses = world.engine.statuses();
    assert_eq!(statuses, world.scratch().engine.statuses(), "as from scratch");
    serde_json::to_value(&*statuses[&key]).unwrap()
}

/// `STATUS REASON` of a condition, and its message.
fn condition(of: &Value, kind: &str) -> (String, String) {
    let all = of["conditions"].as_array().unwrap();
    let one = all.iter().find(|condition| condition["type"] == kind).unwrap();
    let text = |field: &str| one[field].as_str().unwrap().to_owned();
    (format!("{} {}", text("status"), text("reason")), text("message"))
}

fn edge(selector: &Value) -> AnyObject {
    let selected = json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [selector]}}});
    let listeners = json!([
        {"name": "selected", "port": 80, "protocol": "HTTP", "allowedRoutes": selected},
        {"name": "open", "port": 80, "protocol": "HTTP", "hostname": "a.example.com"},
    ]);
    stored("Gateway", "edge", &json!({"gatewayClassName": "tombolo", "listeners": listeners}))
}

#[test]
fn a_listener_at_fault_says_why_and_the_others_serve() {
    let mut world = World::default();
    let route = json!({"parentRefs": [{"name": "edge"}]});
    let infra = manifest::decode(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}}), None);
    let good = json!({"key": "kubernetes.io/metadata.name", "operator": "Exists"});
    world.apply_from("test", vec![edge(&good), stored("HTTPRoute", "web", &route), infra.object.unwrap()]);
    let gateway = status(&world, Kind::Gateway, "edge");
    assert_eq!(condition(&gateway, "Accepted").0, "True Accepted");
    let attached = |gateway: &Value| [0, 1].map(|i| gateway["listeners"][i]["attachedRoutes"].clone());
    assert_eq!(attached(&gateway), [json!(1), json!(1)]);

    world.apply_from("test", vec![edge(&json!({"key": "a", "operator": "In"}))]);
    let gateway = status(&world, Kind::Gateway, "edge");
    assert_eq!(condition(&gateway, "Accepted").0, "True ListenersNotValid");
    assert_eq!(condition(&gateway, "Programmed").0, "True Programmed");
    let (accepted, message) = condition(&gateway["listeners"][0], "Accepted");
    assert_eq!(accepted, "False UnsupportedValue");
    let field = "spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].values: ";
    assert!(message.starts_with(field) && message.ends_with("; add a value"), "{message}");
    assert_eq!(condition(&gateway["listeners"][0], "Programmed").0, "False Invalid");
    assert_eq!(condition(&gateway["listeners"][1], "Programmed").0, "True Programmed");
    assert_eq!(attached(&gateway), [json!(0), json!(1)]);
    let told = world.engine.problems();
    assert!(told.is_empty(), "told already when it was read: {told:?}");

    world.apply_from("test", vec![edge(&good)]);
    assert_eq!(condition(&status(&world, Kind::Gateway, "edge"), "Accepted").0, "True Accepted");
}

#[test]
fn a_rule_at_fault_says_why_and_answers_for_itself() {
    let mut world = World::default();
    let filter = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [""]}});
    let rules = json!([
        {"matches": [{"path": {"value": "/a"}}], "filters": [filter]},
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "other.example.com"}}]},
    ]);
    let route = json!({"parentRefs": [{"name": "edge"}], "rules": rules});
    let exists = json!({"key": "a", "operator": "Exists"});
    world.apply_from("test", vec![edge(&exists), stored("HTTPRoute", "web", &route)]);
    let parent = status(&world, Kind::HttpRoute, "web")["parents"][0].clone();
    assert_eq!(condition(&parent, "Accepted").0, "True Accepted");
    let (partially, message) = condition(&parent, "PartiallyInvalid");
    assert_eq!(partially, "True UnsupportedValue");
    let field = "Dropped Rule 0: spec.rules[0].filters[0].requestHeaderModifier.remove[0]: ";
    assert!(message.starts_with(field), "{message}");
    let table = world.table(&[Scope::gateway("infra", "edge")], &names::http_table(Port::new(80).unwrap()));
    let routes = format!("{table:?}");
    assert!(routes.contains("other.example.com") && routes.contains("500"), "{routes}");
}

#[test]
fn a_match_at_fault_matches_nothing_and_the_others_serve() {
    let broken = json!({"path": {"type": "RegularExpression", "value": "/(?!a)"}});
    let redirect = |host: &str| json!([{"type": "RequestRedirect", "requestRedirect": {"hostname": host}}]);
    let both = json!({"matches": [broken, {"path": {"value": "/good"}}], "filters": redirect("both.test")});
    let lost = json!({"name": "lost", "matches": [broken], "filters": redirect("lost.test")});
    let exists = json!({"key": "a", "operator": "Exists"});
    let told = |rules: &[&Value]| {
        let mut world = World::default();
        let route = json!({"parentRefs": [{"name": "edge"}], "rules": rules});
        world.apply_from("test", vec![edge(&exists), stored("HTTPRoute", "web", &route)]);
        let parent = status(&world, Kind::HttpRoute, "web")["parents"][0].clone();
        let table = world.table(&[Scope::gateway("infra", "edge")], &names::http_table(Port::new(80).unwrap()));
        let said = parent["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|of| condition(&parent, of["type"].as_str().unwrap()).0);
        let routes: Vec<_> =
            table.iter().flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.routes).collect();
        (said.collect::<Vec<_>>(), parent["conditions"].to_string(), format!("{routes:?}"))
    };
    let (said, words, routes) = told(&[&both, &lost]);
    assert_eq!(said, ["True Accepted", "True ResolvedRefs", "True UnsupportedValue"]);
    assert!(words.contains("Dropped Rule lost: spec.rules[0].matches[0].path.value: "), "{words}");
    assert!(routes.contains("both.test") && !routes.contains("lost.test"), "{routes}");
    let (said, words, _) = told(&[&both]);
    assert_eq!(said, ["True Accepted", "True ResolvedRefs", "True UnsupportedValue"]);
    assert!(words.contains("Dropped Rule in part: "), "{words}");
    let (said, _, routes) = told(&[&lost]);
    assert_eq!(said, ["False UnsupportedValue", "True ResolvedRefs"]);
    assert!(!routes.contains("lost.test"), "{routes}");
}

fn host<'a>(table: &'a RouteConfiguration, name: &str) -> &'a VirtualHost {
    let host = table.virtual_hosts.iter().find(|host| host.domains == [name]);
    host.unwrap_or_else(|| panic!("{name} is not in {table:?}"))
}

/// A Gateway with these listeners, and a tenant's route for the administrators' name.
fn admin_and_all(listeners: &Value) -> World {
    let mut world = World::default();
    let gateway = stored("Gateway", "edge", &json!({"gatewayClassName": "tombolo", "listeners": listeners}));
    let parent = json!([{"name": "edge", "sectionName": "all"}]);
    let answer = json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "tenant.test"}}]}]);
    let hostnames = json!(["admin.example.com", "web.example.com"]);
    let route = json!({"parentRefs": parent, "hostnames": hostnames, "rules": answer});
    world.apply_from("test", vec![gateway, stored("HTTPRoute", "tenant", &route)]);
    world
}

/// Secret `cert`.
fn certificate() -> AnyObject {
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let pair = json!({"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()});
    let document = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": "infra"},
        "type": "kubernetes.io/tls", "stringData": pair,
    });
    manifest::decode(document, None).object.unwrap()
}

/// A listener's `allowedRoutes` that cannot be served.
fn broken() -> Value {
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    json!({"namespaces": {"from": "Selector", "selector": selector}})
}

#[test]
fn the_name_of_a_listener_at_fault_is_nobody_elses() {
    let world = admin_and_all(&json!([
        {"name": "admin", "port": 80, "protocol": "HTTP", "hostname": "admin.example.com", "allowedRoutes": broken()},
        {"name": "all", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"},
    ]));
    let table = world.table(&[Scope::gateway("infra", "edge")], &names::http_table(Port::new(80).unwrap())).unwrap();
    assert!(host(&table, "admin.example.com").routes.is_empty(), "404: {table:?}");
    assert_eq!(host(&table, "web.example.com").routes.len(), 1);
    let gateway = status(&world, Kind::Gateway, "edge");
    assert_eq!(condition(&gateway["listeners"][1], "Programmed").0, "True Programmed");
}

#[test]
fn the_name_of_a_listener_without_a_certificate_is_nobody_elses() {
    let tls = |secret: &str| json!({"certificateRefs": [{"name": secret}]});
    let listeners = json!([
        {"name": "admin", "port": 443, "protocol": "HTTPS", "hostname": "admin.example.com", "tls": tls("gone")},
        {"name": "passed", "port": 443, "protocol": "TLS", "hostname": "web.example.com", "tls": {"mode": "Passthrough"}},
        {"name": "all", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com", "tls": tls("cert")},
    ]);
    let mut world = admin_and_all(&listeners);
    world.apply_from("test", vec![certificate()]);
    let gateway = status(&world, Kind::Gateway, "edge");
    assert_eq!(condition(&gateway["listeners"][2], "Programmed").0, "True Programmed", "{gateway}");
    let table = names::https_table(Port::new(443).unwrap(), "all", "edge", "infra");
    let table = world.table(&[Scope::gateway("infra", "edge")], &table).unwrap();
    for name in ["admin.example.com", "web.example.com"] {
        assert!(host(&table, name).routes.is_empty(), "404: {table:?}");
    }
}

#[test]
fn a_listener_at_fault_still_conflicts() {
    let https = json!({"name": "admin", "port": 443, "protocol": "HTTPS", "hostname": "admin.example.com", "allowedRoutes": broken()});
    for (other, reason) in [
        (json!({"name": "all", "port": 443, "protocol": "HTTP"}), "ProtocolConflict"),
        (json!({"name": "all", "port": 443, "protocol": "HTTPS", "hostname": "admin.example.com"}), "HostnameConflict"),
    ] {
        let world = admin_and_all(&json!([https, other]));
        let gateway = status(&world, Kind::Gateway, "edge");
        for listener in gateway["listeners"].as_array().unwrap() {
            assert_eq!(condition(listener, "Conflicted").0, format!("True {reason}"), "{listener}");
            assert!(condition(listener, "Accepted").0.starts_with("False "), "{listener}");
        }
        let scope = [Scope::gateway("infra", "edge")];
        assert!(world.seen(&scope, ResourceType::Listener).is_empty(), "nothing is served there in plaintext");
    }
}

/// The fact that a proxy rejects what this is made of: the resource of `edge` whose name is this.
fn rejected(world: &World, kind: ResourceType, name: &str) -> (Relation, Fact) {
    let name = name.into();
    let maker = world.engine.maker(&Scope::gateway("infra", "edge"), kind, &name).expect("there is such a resource");
    Rejected::fact(maker, &name, &format!("no\n such thing{}", " and so on".repeat(100))).unwrap()
}

#[test]
fn what_a_proxy_rejects_is_said_until_it_is_accepted() {
    let listeners = json!([
        {"name": "web", "port": 80, "protocol": "HTTP"}, {"name": "more", "port": 8080, "protocol": "HTTP"},
        {"name": "tls", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}},
    ]);
    let mut world = World::default();
    let gateway = stored("Gateway", "edge", &json!({"gatewayClassName": "tombolo", "listeners": listeners}));
    let route = |section: &str| {
        stored("HTTPRoute", section, &json!({"parentRefs": [{"name": "edge", "sectionName": section}]}))
    };
    world.apply_from("test", vec![gateway, certificate(), route("web"), route("more")]);
    let said = |world: &World| {
        let gateway = status(world, Kind::Gateway, "edge");
        let listener = |i: usize| condition(&gateway["listeners"][i], "Programmed").0;
        [condition(&gateway, "Programmed").0, listener(0), listener(1), listener(2)]
    };
    let (yes, no) = ("True Programmed", "False Invalid");
    assert_eq!(said(&world), [yes; 4]);
    let one = rejected(&world, ResourceType::Listener, "0.0.0.0_80");
    let certificate = world.seen(&[Scope::gateway("infra", "edge")], ResourceType::Secret).into_keys().next().unwrap();
    let certificate = rejected(&world, ResourceType::Secret, &certificate);
    let all = [&one, &rejected(&world, ResourceType::Listener, "0.0.0.0_8080"), &certificate].map(Clone::clone);
    world.insert(vec![one]);
    assert_eq!(said(&world), [yes, no, yes, yes]);
    let gateway = status(&world, Kind::Gateway, "edge");
    let (_, message) = condition(&gateway["listeners"][0], "Programmed");
    assert!(message.contains("no such thing") && message.len() < 400, "{message}");
    assert_eq!(condition(&gateway, "Programmed").1, message);
    world.insert(all[1..].to_vec());
    assert_eq!(said(&world), [no; 4]);
    world.remove(all.to_vec());
    assert_eq!(said(&world), [yes; 4]);

    let table = rejected(&world, ResourceType::Routes, &names::http_table(Port::new(80).unwrap()));
    world.insert(vec![table.clone()]);
    let parent = |world: &World, name: &str| status(world, Kind::HttpRoute, name)["parents"][0].clone();
    let (word, message) = condition(&parent(&world, "web"), "Programmed");
    assert!(word == no && message.contains("no such thing"), "{word} {message}");
    let has = |parent: Value| parent["conditions"].as_array().unwrap().iter().any(|one| one["type"] == "Programmed");
    assert!(!has(parent(&world, "more")), "its table is another");
    world.remove(vec![table]);
    assert!(!has(parent(&world, "web")));
}
