//! Whether an object still is as it was applied.

use super::overlay::item_key;
use serde_json::Value;

/// True where an object has all that is wanted of it. What else it has is others' business: defaults, what controllers add, what
/// other field managers own.
pub(super) fn covers(live: &Value, wanted: &Value) -> bool {
    covers_field("", Some(live), wanted)
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
