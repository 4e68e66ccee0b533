//! What to write into an object's status, given what it was last seen with. Pure.
//!
//! Only what is ours is written: entries of routes' `parents` that name our controller, conditions of our types, and fields
//! that the controller of an object fills in. All else stays as it was seen.

use serde_json::{Map, Value, json};
use tombolo_api::{Kind, gateway::CONTROLLER};
use tombolo_kubernetes::conditions;

/// Entries in a route's `parents`, at most, as its schema has it.
const MAX_PARENTS: usize = 32;
/// Of a route's parent: types that are ours even where they do not hold now.
const PARENT: &[&str] = &["Accepted", "ResolvedRefs", "PartiallyInvalid", "Programmed"];
/// Likewise of a listener.
const LISTENER: &[&str] = &["Accepted", "Conflicted", "Programmed", "ResolvedRefs", "OverlappingTLSConfig"];

/// Likewise of an object as a whole.
fn types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::GatewayClass => &["Accepted", "SupportedVersion"],
        Kind::Gateway => &["Accepted", "Programmed", "ResolvedRefs"],
        Kind::ServiceEntry => &["Accepted", "AddressesAllocated"],
        Kind::WorkloadEntry => &["Healthy"],
        _ => &[],
    }
}

/// The fields of the status that must be different, null where one must go: a merge patch. `None` where nothing must be.
/// `ours` is the status as we see it; `None` where the object is none of our business any more.
pub(crate) fn merge(kind: Kind, seen: &Value, ours: Option<&Value>) -> Option<Value> {
    let wanted = match (kind, ours) {
        (Kind::HttpRoute, _) => route(seen, ours),
        // Whoever serves it now writes the same types: theirs must not be taken away.
        (Kind::Gateway | Kind::GatewayClass, None) => return None,
        (Kind::Gateway, Some(ours)) => gateway(seen, ours),
        (Kind::GatewayClass, Some(ours)) => class(seen, ours),
        (Kind::ServiceEntry | Kind::WorkloadEntry, _) => whole(kind, seen, ours.unwrap_or(&Value::Null)),
        _ => return None,
    };
    let is_different = |(name, value): &(String, Value)| match seen.get(name) {
        Some(seen) => seen != value,
        None => !is_nothing(value),
    };
    let patch: Map<_, _> = wanted.into_iter().filter(is_different).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// True where an absent field means the same.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Conditions merged, and every other field as ours has it.
fn whole(kind: Kind, seen: &Value, ours: &Value) -> Map<String, Value> {
    let mut wanted = ours.as_object().cloned().unwrap_or_default();
    wanted.insert("conditions".to_owned(), merged_conditions(seen, ours, types(kind)));
    wanted
}

fn merged_conditions(seen: &Value, ours: &Value, types: &[&str]) -> Value {
    conditions::merge(list(seen, "conditions"), list(ours, "conditions"), types).into()
}

fn class(seen: &Value, ours: &Value) -> Map<String, Value> {
    let mut wanted = whole(Kind::GatewayClass, seen, ours);
    if let Some(features) = wanted.get_mut("supportedFeatures").and_then(Value::as_array_mut) {
        features.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    }
    wanted
}

fn gateway(seen: &Value, ours: &Value) -> Map<String, Value> {
    let mut wanted = whole(Kind::Gateway, seen, ours);
    let old = |name: &Value| list(seen, "listeners").iter().find(|old| old["name"] == *name);
    let listeners = list(ours, "listeners").iter().map(|listener| {
        let mut listener = listener.clone();
        let seen = old(&listener["name"]).unwrap_or(&Value::Null);
        listener["conditions"] = merged_conditions(seen, &listener, LISTENER);
        listener
    });
    wanted.insert("listeners".to_owned(), listeners.collect());
    // One that has no address any more must not go on showing it.
    wanted.entry("addresses").or_insert(Value::Null);
    wanted
}

fn route(seen: &Value, ours: Option<&Value>) -> Map<String, Value> {
    let mut left: Vec<&Value> = ours.map(|ours| list(ours, "parents")).unwrap_or_default().iter().collect();
    let mut parents = Vec::new();
    for old in list(seen, "parents") {
        if !is_ours(old) {
            parents.push(old.clone());
        } else if let Some(at) = left.iter().position(|new| same_parent(&new["parentRef"], &old["parentRef"])) {
            let mut new = left.remove(at).clone();
            new["conditions"] = merged_conditions(old, &new, PARENT);
            parents.push(new);
        }
    }
    let room = MAX_PARENTS.saturating_sub(parents.len());
    parents.extend(left.into_iter().take(room).cloned());
    Map::from_iter([("parents".to_owned(), parents.into())])
}

/// True for an entry of a route's `parents` that names our controller.
pub(crate) fn is_ours(parent: &Value) -> bool {
    parent["controllerName"] == CONTROLLER
}

/// True where two references mean the same parent: what is left out has its default.
fn same_parent(a: &Value, b: &Value) -> bool {
    let default = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway"});
    let field = |of: &'_ Value, name: &str| of.get(name).or(default.get(name)).cloned();
    ["group", "kind", "namespace", "name", "sectionName", "port"].iter().all(|name| field(a, name) == field(b, name))
}

/// A list of a status: empty where it is not there.
pub(crate) fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
