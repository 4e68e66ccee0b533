//! What an object that is stored says of the fields that are wanted. No client.

use serde_json::{Map, Value};

/// The part of what is stored that is about the fields of what is wanted: what others add does not show.
///
/// The API server writes some values its own way (`0.5` becomes `500m`), so that the two are not simply compared: what is
/// compared is this, now and when it was applied last.
pub(super) fn project(stored: &Value, wanted: &Value) -> Value {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            let field = |(key, wanted): (&String, &Value)| Some((key.clone(), project(stored.get(key)?, wanted)));
            Value::Object(wanted.iter().filter_map(field).collect())
        }
        (Value::Array(stored), Value::Array(wanted)) => list(stored, wanted),
        (stored, _) => stored.clone(),
    }
}

/// Entries with a name are several owners'; other lists are one owner's as a whole.
fn list(stored: &[Value], wanted: &[Value]) -> Value {
    let Some(wanted_names) = wanted.iter().map(name).collect::<Option<Vec<_>>>() else {
        return Value::Array(stored.to_vec());
    };
    let entry = |(wanted, key): (&Value, (&str, &Value))| {
        let stored = stored.iter().find(|stored| stored.get(key.0) == Some(key.1))?;
        Some(project(stored, wanted))
    };
    wanted.iter().zip(wanted_names).filter_map(entry).collect()
}

/// What tells the entries of a list apart: containers, volumes, ports and variables have names, mounts have paths.
fn name(entry: &Value) -> Option<(&str, &Value)> {
    let fields: &Map<String, Value> = entry.as_object()?;
    let key = ["name", "mountPath", "uid"].into_iter().find(|key| fields.contains_key(*key))?;
    Some((key, &fields[key]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_others_add_does_not_show() {
        let wanted = json!({"labels": {"a": "1"}, "containers": [{"name": "x", "image": "i", "args": ["b"]}]});
        let mut stored = wanted.clone();
        stored["labels"]["b"] = "2".into();
        stored["status"] = json!({});
        stored["containers"][0]["terminationMessagePath"] = "/dev".into();
        stored["containers"].as_array_mut().unwrap().insert(0, json!({"name": "injected"}));
        assert_eq!(project(&stored, &wanted), wanted);
    }

    #[test]
    fn what_others_change_or_remove_does() {
        let wanted = json!({"a": {"b": 1}, "list": [1, 2], "named": [{"name": "x", "v": 1}]});
        for changed in [
            json!({"a": {"b": 2}, "list": [1, 2], "named": [{"name": "x", "v": 1}]}),
            json!({"a": {}, "list": [1, 2], "named": [{"name": "x", "v": 1}]}),
            json!({"a": {"b": 1}, "list": [1, 2, 3], "named": [{"name": "x", "v": 1}]}),
            json!({"a": {"b": 1}, "list": [1, 2], "named": [{"name": "y", "v": 1}]}),
            json!({"a": {"b": 1}, "list": [1, 2]}),
        ] {
            assert_ne!(project(&changed, &wanted), wanted, "{changed}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i8>().prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abn]|name", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn projecting_twice_is_projecting_once(stored in value(), wanted in value()) {
            let once = project(&stored, &wanted);
            prop_assert_eq!(project(&once, &wanted), once);
        }
    }
}
