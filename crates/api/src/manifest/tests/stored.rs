//! What an API server stores and is refused here: it costs a listener, or a rule, where it stands in one.

use super::told;
use crate::{
    AnyObject,
    gateway::{Listener, Protocol},
    manifest::{Decoded, decode, decode_stored},
};
use serde_json::{Value, json};
use tombolo_core::Host;

fn gateway(listeners: &[Value]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "infra"},
        "spec": {"gatewayClassName": "tombolo", "listeners": listeners},
    })
}

/// What is wrong with each listener.
fn faults(decoded: &Decoded) -> Vec<Option<String>> {
    let Some(AnyObject::Gateway(gateway)) = &decoded.object else { panic!("{:?}", decoded.problems) };
    gateway.listeners.iter().map(|listener| listener.fault.as_ref().map(ToString::to_string)).collect()
}

fn good(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "protocol": "HTTP"})
}

/// A good listener with this besides.
fn with(field: &str, value: Value) -> Value {
    let mut listener = good("bad", 80);
    listener[field] = value;
    listener
}

fn selecting(requirement: &Value) -> Value {
    let selector = json!({"matchExpressions": [requirement]});
    with("allowedRoutes", json!({"namespaces": {"from": "Selector", "selector": selector}}))
}

#[test]
fn a_listener_that_cannot_be_served_costs_itself_and_is_told_as_in_a_file() {
    for bad in [
        with("tls", json!({"mode": "Terminate"})),
        selecting(&json!({"key": "a", "operator": "In"})),
        selecting(&json!({"key": "a b", "operator": "Exists"})),
        selecting(&json!({"key": "a", "operator": "Near"})),
    ] {
        let document = gateway(&[good("first", 8080), bad, good("last", 8081)]);
        let in_file = decode(document.clone(), None);
        let stored = decode_stored(document);
        assert!(in_file.object.is_none());
        assert_eq!(told(&stored), told(&in_file));
        let faults = faults(&stored);
        assert!(faults[0].is_none() && faults[2].is_none(), "{faults:?}");
        let fault = faults[1].as_ref().unwrap();
        let problem = &stored.problems[0];
        assert!(fault.starts_with("spec.listeners[1].") && fault.ends_with(&problem.fix), "{fault}");
        assert!(fault.contains(&problem.message), "{fault}");
    }
}

#[test]
fn several_listeners_are_told_each_and_what_else_is_said_is_said_once() {
    let mut first = with("tls", json!({"mode": "Terminate"}));
    first["name"] = "first".into();
    first["newer"] = true.into();
    let mut second = selecting(&json!({"key": "a b", "operator": "In"}));
    second["newer"] = true.into();
    let mut document = gateway(&[first, second, good("third", 8080)]);
    document["spec"]["newer"] = true.into();
    let stored = decode_stored(document);
    let faults = faults(&stored);
    assert!(faults[0].is_some() && faults[1].is_some() && faults[2].is_none(), "{faults:?}");
    let told = told(&stored);
    let of = |field: &str| told.iter().filter(|line| line.contains(field)).count();
    assert_eq!((of(" spec.newer "), of("spec.listeners[0].tls")), (1, 1), "{told:#?}");
    assert_eq!((of("matchExpressions[0].key"), of("matchExpressions[0].values")), (1, 1), "{told:#?}");
}

#[test]
fn a_listener_at_fault_keeps_what_tells_whose_requests_are_its_own() {
    let mut listener = selecting(&json!({"key": "a", "operator": "Near"}));
    listener["hostname"] = "admin.example.com".into();
    listener["protocol"] = "HTTPS".into();
    let stored = decode_stored(gateway(&[listener, good("all", 80)]));
    assert!(matches!(&faults(&stored)[..], [Some(_), None]));
    let Some(AnyObject::Gateway(gateway)) = &stored.object else { panic!("{:?}", stored.problems) };
    let Listener { hostname, port, protocol, .. } = &gateway.listeners[0];
    let hostname = hostname.as_ref().map(Host::as_str);
    assert_eq!((hostname, port.get(), protocol), (Some("admin.example.com"), 80, &Protocol::Https));
}

#[test]
fn what_no_listener_bears_costs_the_gateway() {
    for (field, value) in [("name", json!("A b")), ("port", json!(0)), ("port", Value::Null)] {
        let stored = decode_stored(gateway(&[good("first", 80), with(field, value)]));
        assert!(stored.object.is_none(), "{field}");
    }
    let mut document = gateway(&[good("first", 80)]);
    document["spec"]["infrastructure"] = json!({"labels": {"a b": ""}});
    assert!(decode_stored(document).object.is_none());
}

#[test]
fn a_name_that_no_client_knows_is_served_and_warned_of() {
    for unusual in ["192.0.2.1".to_owned(), format!("{}.example.com", "a".repeat(64))] {
        let mut route = route(&json!({}));
        route["spec"]["hostnames"] = json!(["a.example.com", unusual]);
        for (document, field) in [
            (gateway(&[good("first", 80), with("hostname", json!(unusual))]), "spec.listeners[1].hostname"),
            (route, "spec.hostnames[1]"),
        ] {
            let stored = decode_stored(document.clone());
            assert!(stored.object.is_some());
            assert!(
                matches!(&told(&stored)[..], [one] if one.starts_with(&format!("warning {field} UnusualHostname: ")))
            );
            assert_eq!(told(&stored), told(&decode(document, None)));
        }
    }
}

/// A route with a good rule, and another one.
fn route(rule: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}, rule]},
    })
}

#[test]
fn a_rule_that_cannot_be_served_costs_itself() {
    let header = |header: Value| json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": header}]);
    let document = route(&json!({"filters": header(json!({"remove": [""]}))}));
    let stored = decode_stored(document.clone());
    assert_eq!(told(&stored), told(&decode(document, None)));
    let Some(AnyObject::HttpRoute(object)) = &stored.object else { panic!("{:?}", stored.problems) };
    let faults: Vec<bool> = object.rules.iter().map(|rule| rule.fault.is_some()).collect();
    assert_eq!(faults, [false, true]);
}

#[test]
fn a_match_that_cannot_be_told_costs_itself() {
    let good = json!({"path": {"value": "/a"}});
    let broken = json!({"path": {"type": "RegularExpression", "value": "("}});
    let twice = json!({"headers": [{"name": "a", "type": "RegularExpression", "value": "("}], "path": broken["path"]});
    let newer = json!({"method": "QUERY"});
    let cases = [
        (json!([]), 1, vec![]),
        (json!([good]), 1, vec![]),
        (json!([broken]), 0, vec!["[0].path.value"]),
        (json!([good, twice, good, broken]), 2, vec!["[1].path.value", "[1].headers[0].value", "[3].path.value"]),
        // Where a list cannot be read, none of it can.
        (json!([good, newer]), 0, vec!["[1].method"]),
    ];
    for (matches, left, untold) in cases {
        let document = route(&json!({"matches": matches}));
        let stored = decode_stored(document.clone());
        assert_eq!(told(&stored), told(&decode(document, None)));
        let Some(AnyObject::HttpRoute(object)) = &stored.object else { panic!("{:?}", stored.problems) };
        let rule = &object.rules[1];
        assert!(rule.fault.is_none() && object.rules[0].untold.is_empty());
        assert_eq!(rule.told().len(), left, "{matches}");
        let fields: Vec<&str> = rule.untold.iter().map(|(_, fault)| fault.field.as_str()).collect();
        let expected: Vec<String> = untold.iter().map(|field| format!("spec.rules[1].matches{field}")).collect();
        assert_eq!(fields, expected, "{matches}");
    }
}
