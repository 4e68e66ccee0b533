//! Whether an object still is as it was applied.

use super::overlay::item_key;
use serde_json::Value;

/// True where an object has all that is wanted of it. What else it has is others' business: defaults, what controllers add, what
/// other field managers own.
pub(super) fn covers(live: &Value, wanted: &Value) -> bool {
    covers_field("", Some(live), wanted)
}

/// What an object has of what is wanted of it, as it has it: `1` where `1000m` was wanted.
pub(super) fn project(live: &Value, wanted: &Value) -> Value {
    project_field("", live, wanted)
}

fn project_field(name: &str, live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let both = wanted.iter().filter_map(|(name, wanted)| Some((name, live.get(name)?, wanted)));
            both.map(|(name, live, wanted)| (name.clone(), project_field(name, live, wanted))).collect()
        }
        (Value::Array(live), Value::Array(wanted)) if wanted.iter().all(|item| item_key(name, item).is_some()) => {
            let own = |wanted| live.iter().find(|live| item_key(name, live) == item_key(name, wanted));
            wanted.iter().filter_map(|wanted| Some(project_field("", own(wanted)?, wanted))).collect()
        }
        (live, _) => live.clone(),
    }
}

fn covers_field(name: &str, live: Option<&Value>, wanted: &Value) -> bool {
    match (live, wanted) {
        (Some(Value::Object(live)), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| covers_field(name, live.get(name), wanted))
        }
        (Some(Value::Array(live)), Value::Array(wanted)) => covers_items(name, live, wanted),
        // The API server leaves out what is empty.
        (None, Value::Object(wanted)) => wanted.is_empty(),
        (None, Value::Array(wanted)) => wanted.is_empty(),
        (Some(live), wanted) => live == wanted,
        (None, wanted) => wanted.is_null(),
    }
}

fn covers_items(list: &str, live: &[Value], wanted: &[Value]) -> bool {
    if !wanted.iter().all(|item| item_key(list, item).is_some()) {
        let same = |(live, wanted)| covers_field("", Some(live), wanted);
        return live.len() == wanted.len() && live.iter().zip(wanted).all(same);
    }
    wanted.iter().all(|wanted| {
        let own = live.iter().find(|live| item_key(list, live) == item_key(list, wanted));
        covers_field("", own, wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_of_what_is_wanted_is_covered_by_it() {
        let wanted = json!({"a": "1000m", "gone": 1, "ports": [{"port": 80, "x": "1"}, {"port": 81}], "args": ["a"]});
        let live =
            json!({"a": "1", "b": 2, "ports": [{"port": 80, "x": "2", "y": 3}, {"port": 90}], "args": ["b", "c"]});
        let projected = project(&live, &wanted);
        assert_eq!(projected, json!({"a": "1", "ports": [{"port": 80, "x": "2"}], "args": ["b", "c"]}));
        assert!(covers(&live, &projected) && !covers(&live, &wanted));
    }

    #[test]
    fn what_others_add_is_no_drift_and_what_they_change_is() {
        let wanted = json!({"metadata": {"labels": {"a": "1"}},
            "spec": {"containers": [{"name": "p", "args": ["run"], "env": []}], "volumes": [{"name": "v", "emptyDir": {}}]}});
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}},
            "spec": {"replicas": 3, "containers": [{"name": "side"}, {"name": "p", "args": ["run"], "image": "x"}],
                "volumes": [{"name": "v", "emptyDir": {}}]}});
        assert!(covers(&live, &wanted));
        let changes = [
            json!({"metadata": {"labels": {"a": "2"}}}),
            json!({"metadata": {"labels": {"a": null}}}),
            json!({"spec": {"containers": [{"name": "p", "args": ["run", "more"]}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$patch": "delete"}]}}),
        ];
        for change in changes {
            let mut live = live.clone();
            super::super::overlay::merge(&mut live, &change);
            assert!(!covers(&live, &wanted), "{change}");
        }
    }
}
