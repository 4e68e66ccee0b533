use crate::status::merge::merge;
use proptest::prelude::*;
use serde_json::{Value, json};
use tombolo_api::{Kind, gateway::CONTROLLER};

fn condition(kind: &str, status: &str, time: &str) -> Value {
    json!({"type": kind, "status": status, "reason": "R", "message": "", "observedGeneration": 1,
        "lastTransitionTime": time})
}

fn parent(name: &str, controller: &str, conditions: &[Value]) -> Value {
    json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name},
        "controllerName": controller, "conditions": conditions,
    })
}

/// What a merge patch makes of a status.
fn patched(seen: &Value, patch: &Value) -> Value {
    let mut status = seen.as_object().cloned().unwrap_or_default();
    for (name, value) in patch.as_object().unwrap() {
        match value {
            Value::Null => drop(status.remove(name)),
            value => drop(status.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(status)
}

#[test]
fn of_a_routes_parents_only_ours_are_replaced() {
    let seen = json!({"parents": [
        parent("a", "example.com/other", &[condition("Accepted", "False", "1")]),
        parent("b", CONTROLLER, &[condition("Accepted", "True", "2"), condition("example.com/Audited", "True", "2")]),
        parent("gone", CONTROLLER, &[condition("Accepted", "True", "3")]),
        parent("b", "example.com/other", &[]),
    ]});
    let ours = json!({"parents": [
        parent("new", CONTROLLER, &[condition("Accepted", "True", "9")]),
        parent("b", CONTROLLER, &[condition("Accepted", "True", "9"), condition("ResolvedRefs", "False", "9")]),
    ]});
    let expected = json!({"parents": [
        parent("a", "example.com/other", &[condition("Accepted", "False", "1")]),
        parent("b", CONTROLLER, &[condition("Accepted", "True", "2"), condition("example.com/Audited", "True", "2"),
            condition("ResolvedRefs", "False", "9")]),
        parent("b", "example.com/other", &[]),
        parent("new", CONTROLLER, &[condition("Accepted", "True", "9")]),
    ]});
    assert_eq!(merge(Kind::HttpRoute, &seen, Some(&ours)), Some(expected.clone()));
    assert_eq!(merge(Kind::HttpRoute, &expected, Some(&ours)), None);
    // No longer ours: only our entries go.
    let left = json!({"parents": [seen["parents"][0], seen["parents"][3]]});
    assert_eq!(merge(Kind::HttpRoute, &seen, None), Some(left.clone()));
    assert_eq!(merge(Kind::HttpRoute, &left, None), None);
    assert_eq!(merge(Kind::HttpRoute, &Value::Null, None), None);
}

#[test]
fn what_no_longer_holds_of_a_route_goes() {
    let only_where_true = ["PartiallyInvalid", "Programmed"].map(|kind| condition(kind, "True", "1"));
    let accepted = condition("Accepted", "True", "1");
    let seen = [std::slice::from_ref(&accepted), &only_where_true[..]].concat();
    let [seen, ours] = [seen, vec![accepted]].map(|all| json!({"parents": [parent("a", CONTROLLER, &all)]}));
    assert_eq!(merge(Kind::HttpRoute, &seen, Some(&ours)), Some(ours));
}

#[test]
fn a_parent_is_known_with_and_without_its_defaults() {
    let mut old = parent("a", CONTROLLER, &[condition("Accepted", "True", "1")]);
    old["parentRef"] = json!({"name": "a"});
    let ours = json!({"parents": [parent("a", CONTROLLER, &[condition("Accepted", "True", "9")])]});
    let patch = merge(Kind::HttpRoute, &json!({"parents": [old]}), Some(&ours)).unwrap();
    assert_eq!(patch["parents"][0]["conditions"][0]["lastTransitionTime"], "1");
    assert_eq!(patch["parents"].as_array().unwrap().len(), 1);
}

#[test]
fn a_full_list_of_parents_is_not_overfilled() {
    let other = |i: i32| parent(&format!("p{i}"), "example.com/other", &[]);
    let seen = json!({"parents": (0..31).map(other).collect::<Vec<_>>()});
    let ours = json!({"parents": [parent("a", CONTROLLER, &[]), parent("b", CONTROLLER, &[])]});
    let patch = merge(Kind::HttpRoute, &seen, Some(&ours)).unwrap();
    assert_eq!(patch["parents"].as_array().unwrap().len(), 32);
    assert_eq!(merge(Kind::HttpRoute, &patch, Some(&ours)), None);
}

#[test]
fn what_an_object_is_born_with_is_replaced() {
    // As the CustomResourceDefinition's default has it.
    let seen = json!({"conditions": [
        {"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
            "lastTransitionTime": "1970-01-01T00:00:00Z"},
    ]});
    let mut ours = json!({"conditions": [condition("Accepted", "True", "9")],
        "supportedFeatures": [{"name": "B"}, {"name": "A"}]});
    let patch = merge(Kind::GatewayClass, &seen, Some(&ours)).unwrap();
    assert_eq!(patch["conditions"], ours["conditions"]);
    assert_eq!(patch["supportedFeatures"], json!([{"name": "A"}, {"name": "B"}]));
    let now = patched(&seen, &patch);
    ours["conditions"][0]["lastTransitionTime"] = "10".into(); // another replica's word
    assert_eq!(merge(Kind::GatewayClass, &now, Some(&ours)), None);
    assert_eq!(merge(Kind::GatewayClass, &now, None), None);
}

#[test]
fn only_fields_that_differ_are_written() {
    let listener = |count: u32, time: &str, also: &[Value]| {
        let conditions: Vec<_> = also.iter().cloned().chain([condition("Programmed", "True", time)]).collect();
        json!({"name": "web", "attachedRoutes": count, "supportedKinds": [], "conditions": conditions})
    };
    let foreign = condition("example.com/Audited", "True", "0");
    let seen = json!({
        "addresses": [{"value": "10.0.0.1"}], "attachedListenerSets": 2,
        "conditions": [condition("Accepted", "True", "1")], "listeners": [listener(1, "1", std::slice::from_ref(&foreign))],
    });
    let ours = json!({"addresses": [{"value": "10.0.0.1"}], "conditions": [condition("Accepted", "True", "9")],
        "listeners": [listener(2, "9", &[])]});
    let patch = merge(Kind::Gateway, &seen, Some(&ours)).unwrap();
    assert_eq!(patch, json!({"listeners": [listener(2, "1", &[foreign])]}));
    let without = json!({"conditions": ours["conditions"], "listeners": seen["listeners"]});
    assert_eq!(merge(Kind::Gateway, &seen, Some(&without)), Some(json!({"addresses": null})));
}

#[test]
fn an_entry_keeps_what_others_say_of_it() {
    let seen = json!({"observedGeneration": "3", "addresses": [{"host": "a", "value": "240.240.0.1"}],
        "conditions": [condition("example.com/Synced", "True", "1"), condition("AddressesAllocated", "True", "1")]});
    let ours = json!({"conditions": [condition("Accepted", "True", "9")]});
    let expected = json!([condition("example.com/Synced", "True", "1"), condition("Accepted", "True", "9")]);
    assert_eq!(merge(Kind::ServiceEntry, &seen, Some(&ours)), Some(json!({"conditions": expected})));
    let left = json!({"conditions": [condition("example.com/Synced", "True", "1")]});
    assert_eq!(merge(Kind::ServiceEntry, &seen, None), Some(left));
    assert_eq!(merge(Kind::MeshInstallation, &Value::Null, Some(&ours)), None);
}

fn any_condition() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["Accepted", "Programmed", "ResolvedRefs", "Healthy", "example.com/A", "B"]);
    let status = prop::sample::select(vec!["True", "False", "Unknown"]);
    (kind, status, 0..3u8).prop_map(|(kind, status, time)| condition(kind, status, &time.to_string()))
}

fn any_conditions() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(any_condition(), 0..5).prop_map(|mut all| {
        let mut types = std::collections::HashSet::new();
        all.retain(|condition| types.insert(condition["type"].to_string()));
        all
    })
}

fn any_parents(controllers: Vec<&'static str>) -> impl Strategy<Value = Vec<Value>> {
    let one = (prop::sample::select(vec!["a", "b", "c"]), prop::sample::select(controllers), any_conditions());
    prop::collection::vec(one.prop_map(|(name, controller, all)| parent(name, controller, &all)), 0..5)
}

fn any_status(controllers: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let listener = (prop::sample::select(vec!["x", "y"]), any_conditions())
        .prop_map(|(name, all)| json!({"name": name, "conditions": all}));
    let listeners = prop::collection::vec(listener, 0..2);
    (any_parents(controllers), any_conditions(), listeners, any::<bool>()).prop_map(
        |(parents, all, listeners, address)| {
            let mut status = json!({"parents": parents, "conditions": all, "listeners": listeners});
            if address {
                status["addresses"] = json!([{"value": "10.0.0.1"}]);
            }
            status
        },
    )
}

/// As the API shows a status of this kind.
fn shaped(kind: Kind, status: &Value) -> Value {
    match kind {
        Kind::HttpRoute => json!({"parents": status["parents"]}),
        Kind::Gateway => {
            let mut status = status.clone();
            status.as_object_mut().unwrap().remove("parents");
            status
        }
        _ => json!({"conditions": status["conditions"]}),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_merge_keeps_what_is_others_and_leaves_nothing_to_do(
        kind in prop::sample::select(crate::observed::Observed::KINDS.to_vec()),
        seen in any_status(vec![CONTROLLER, "example.com/other"]),
        ours in prop::option::of(any_status(vec![CONTROLLER])),
    ) {
        let (seen, ours) = (shaped(kind, &seen), ours.map(|ours| shaped(kind, &ours)));
        let Some(patch) = merge(kind, &seen, ours.as_ref()) else { return Ok(()) };
        let now = patched(&seen, &patch);
        prop_assert_eq!(merge(kind, &now, ours.as_ref()), None, "{:#}", now);
        let others = |status: &Value| -> Vec<Value> {
            let parents = status["parents"].as_array().into_iter().flatten();
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let foreign = ["example.com/A", "B"];
            let said = |kind: &Value| ours.as_ref().is_some_and(|ours| {
                ours["conditions"].as_array().into_iter().flatten().any(|condition| condition["type"] == *kind)
            });
            parents.filter(|parent| parent["controllerName"] != CONTROLLER)
                .chain(conditions.filter(|c| foreign.iter().any(|f| c["type"] == *f) && !said(&c["type"])))
                .cloned().collect()
        };
        prop_assert_eq!(others(&now), others(&seen));
    }
}
