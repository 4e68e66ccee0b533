//! Changes that users ask for by a ConfigMap: merged into what is made, as `kubectl patch --type strategic` would.
//!
//! Objects merge field by field, null removes. Lists whose items have a key merge item by item, all others are replaced.
//! `$patch: delete` removes an item or object, `$patch: replace` replaces it.

use super::made::MadeKind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// By kind, what is to be merged into what is made.
pub(crate) type Overlays = BTreeMap<MadeKind, Value>;

const DIRECTIVE: &str = "$patch";

/// Reads the texts of a parameters ConfigMap.
///
/// # Errors
/// A key that means nothing, or a text that is no YAML mapping: what, and what to do.
pub(crate) fn read<'a>(data: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Overlays, String> {
    let mut overlays = Overlays::new();
    for (key, text) in data {
        let Some(kind) = MadeKind::ALL.into_iter().find(|kind| kind.parameter() == key) else {
            let known = MadeKind::ALL.map(MadeKind::parameter).join(", ");
            return Err(format!("its key {key} means nothing: use {known}"));
        };
        let value = serde_saphyr::from_str::<Value>(text)
            .map_err(|error| format!("its key {key} is no YAML: {}", error.without_snippet()))?;
        if !value.is_object() {
            return Err(format!("its key {key} is no mapping of fields to values"));
        }
        overlays.insert(kind, value);
    }
    Ok(overlays)
}

/// Merges a change into a value.
pub(crate) fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(fields), Value::Object(changes)) if directive(change) != Some("replace") => {
            merge_fields(fields, changes);
        }
        (base, change) => *base = plain(change),
    }
}

fn merge_fields(fields: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes.iter().filter(|(name, _)| *name != DIRECTIVE) {
        if change.is_null() || directive(change) == Some("delete") {
            fields.remove(name);
            continue;
        }
        match (fields.get_mut(name), change) {
            (Some(Value::Array(items)), Value::Array(changes)) => merge_items(name, items, changes),
            (Some(field), change) => merge(field, change),
            (None, change) => drop(fields.insert(name.clone(), plain(change))),
        }
    }
}

fn merge_items(list: &str, items: &mut Vec<Value>, changes: &[Value]) {
    let keys = |item: &Value| item_key(list, item).is_some();
    if !changes.iter().all(keys) || !items.iter().all(keys) {
        *items = changes.iter().map(plain).collect();
        return;
    }
    for change in changes {
        let place = items.iter().position(|item| item_key(list, item) == item_key(list, change));
        match (place, directive(change)) {
            (Some(place), Some("delete")) => drop(items.remove(place)),
            (Some(place), _) => merge(&mut items[place], change),
            (None, Some("delete")) => {}
            (None, _) => items.push(plain(change)),
        }
    }
}

/// What tells the items of a list apart: the keys of Kubernetes' list maps. `None` for lists that are one value.
pub(super) fn item_key<'a>(list: &str, item: &'a Value) -> Option<&'a Value> {
    let names: &[&str] = match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "ports" => &["containerPort", "port"],
        "topologySpreadConstraints" => &["topologyKey"],
        "hostAliases" => &["ip"],
        "ownerReferences" => &["uid"],
        _ => return None,
    };
    names.iter().find_map(|name| item.get(name))
}

fn directive(value: &Value) -> Option<&str> {
    value.get(DIRECTIVE).and_then(Value::as_str)
}

/// Without directives, and without what they, or null, remove.
fn plain(value: &Value) -> Value {
    let removed = |value: &Value| value.is_null() || directive(value) == Some("delete");
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| *name != DIRECTIVE && !removed(value));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::Array(items) => items.iter().filter(|item| directive(item) != Some("delete")).map(plain).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut base: Value, change: &Value) -> Value {
        merge(&mut base, change);
        base
    }

    #[test]
    fn objects_merge_and_null_removes() {
        let base = json!({"spec": {"replicas": 1, "paused": true, "strategy": {"type": "Recreate"}}});
        let change =
            json!({"spec": {"replicas": 3, "paused": null, "absent": null, "strategy": {"$patch": "replace", "a": 1}}});
        assert_eq!(merged(base, &change), json!({"spec": {"replicas": 3, "strategy": {"a": 1}}}));
    }

    #[test]
    fn items_with_a_key_merge_and_other_lists_are_replaced() {
        let base = json!({"containers": [{"name": "proxy", "image": "a", "args": ["run"], "env": [{"name": "A", "value": "1"}]}]});
        let change = json!({"containers": [
            {"name": "proxy", "args": ["stop"], "env": [{"name": "B", "value": "2"}, {"name": "A", "$patch": "delete"}]},
            {"name": "side", "image": "b"}]});
        let wanted = json!({"containers": [
            {"name": "proxy", "image": "a", "args": ["stop"], "env": [{"name": "B", "value": "2"}]},
            {"name": "side", "image": "b"}]});
        assert_eq!(merged(base, &change), wanted);
        let ports = json!({"ports": [{"port": 80, "name": "http-80"}]});
        let change = json!({"ports": [{"port": 80, "nodePort": 30080}, {"port": 9000, "$patch": "delete"}]});
        assert_eq!(merged(ports, &change), json!({"ports": [{"port": 80, "name": "http-80", "nodePort": 30080}]}));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let read = |key: &str, text: &str| read([(&key.to_owned(), &text.to_owned())]);
        assert_eq!(read("deployment", "spec: {replicas: 2}").unwrap()[&MadeKind::Deployment]["spec"]["replicas"], 2);
        assert!(read("daemonSet", "{}").unwrap_err().contains("daemonSet"));
        assert!(read("service", "- a").unwrap_err().contains("mapping"));
        assert!(read("service", "a: [").unwrap_err().contains("YAML"));
    }
}
