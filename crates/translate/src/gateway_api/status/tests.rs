use crate::{names, testing::World};
use serde_json::{Value, json};
use tombolo_api::{AnyObject, Kind, ObjectKey, manifest};
use tombolo_core::{NamespacedName, Port, SourceId};
use tombolo_proto::Scope;

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
    let (accepted, message) = condition(&parent, "Accepted");
    assert_eq!(accepted, "False UnsupportedValue");
    assert!(message.starts_with("spec.rules[0].filters[0].requestHeaderModifier.remove[0]: "), "{message}");
    let table = world.table(&[Scope::gateway("infra", "edge")], &names::http_table(Port::new(80).unwrap()));
    let routes = format!("{table:?}");
    assert!(routes.contains("other.example.com") && routes.contains("500"), "{routes}");
}
