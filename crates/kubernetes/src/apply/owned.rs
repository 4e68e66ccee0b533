//! Which of a live object's fields are a manager's, and what they are.

use serde_json::{Map, Value};

/// The part of a live object that `manager` has applied: its fields, as `managedFields` name them, with the values that
/// they have now. An empty object where it has applied nothing. The format is Kubernetes' `FieldsV1`.
pub fn owned(live: &Value, manager: &str) -> Value {
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours = entries.filter(|entry| {
        entry["manager"] == *manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    });
    // One entry for each version that it was applied in: one, but for objects that outlived a version.
    let parts = ours.map(|entry| project(live, &entry["fieldsV1"]));
    parts.reduce(union).unwrap_or_else(|| Value::Object(Map::new()))
}

/// The part of a value that a set of fields names.
fn project(value: &Value, fields: &Value) -> Value {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else {
        return value.clone(); // a leaf, or whole
    };
    match value {
        Value::Object(map) => {
            let named = fields.iter().filter_map(|(name, inner)| {
                let name = name.strip_prefix("f:")?;
                Some((name.to_owned(), project(map.get(name)?, inner)))
            });
            Value::Object(named.collect())
        }
        Value::Array(items) => {
            let parts = items.iter().enumerate().filter_map(|(index, item)| {
                let (_, inner) = fields.iter().find(|(name, _)| names(name, index, item))?;
                Some(project(item, inner))
            });
            Value::Array(parts.collect())
        }
        other => other.clone(),
    }
}

/// True where a path element means this item: `k:{"name":"http"}`, `v:"finalizer"`, `i:0`.
fn names(element: &str, index: usize, item: &Value) -> bool {
    let Some((form, text)) = element.split_once(':') else { return false };
    let Ok(means) = serde_json::from_str::<Value>(text) else { return false };
    match (form, &means) {
        ("k", Value::Object(keys)) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
        ("v", value) => item == value,
        ("i", value) => value.as_u64() == u64::try_from(index).ok(),
        _ => false,
    }
}

fn union(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            for (key, value) in right {
                let merged = match left.remove(&key) {
                    Some(old) => union(old, value),
                    None => value,
                };
                left.insert(key, merged);
            }
            Value::Object(left)
        }
        (_, right) => right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_ours_are_taken_and_others_left() {
        let live = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "front", "labels": {"app": "front", "team": "blue"}, "finalizers": ["a/b", "c/d"],
                "managedFields": [
                    {"manager": "us", "operation": "Apply", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"c/d\"": {}}},
                        "f:spec": {
                            "f:selector": {},
                            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {
                                ".": {}, "f:name": {}, "f:ports": {
                                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                                },
                            }}}},
                        },
                    }},
                    {"manager": "us", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                    {"manager": "us", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
                    {"manager": "them", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {
                "replicas": 3, "paused": false, "selector": {"matchLabels": {"app": "front"}},
                "template": {"spec": {"containers": [
                    {"name": "injected", "image": "other"},
                    {"name": "proxy", "imagePullPolicy": "Always",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]},
                ]}},
            },
            "status": {"replicas": 3},
        });
        let expected = json!({
            "metadata": {"labels": {"app": "front"}, "finalizers": ["c/d"]},
            "spec": {
                "selector": {"matchLabels": {"app": "front"}},
                "template": {"spec": {"containers": [{"name": "proxy", "ports": [{"containerPort": 80}]}]}},
            },
        });
        assert_eq!(owned(&live, "us"), expected);
        assert_eq!(owned(&live, "nobody"), json!({}));
    }

    #[test]
    fn entries_of_two_versions_count_together() {
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": "us", "operation": "Apply", "apiVersion": "x/v1", "fieldsV1": {"f:spec": {"f:a": {}}}},
                {"manager": "us", "operation": "Apply", "apiVersion": "x/v2", "fieldsV1": {"f:spec": {"f:b": {}}}},
            ]},
            "spec": {"a": 1, "b": 2, "c": 3},
        });
        assert_eq!(owned(&live, "us"), json!({"spec": {"a": 1, "b": 2}}));
    }
}
