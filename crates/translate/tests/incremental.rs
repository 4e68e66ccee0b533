//! The law that everything rests on: after any sequence of edits, what was translated bit by bit equals a translation from
//! scratch, byte for byte.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod universe;

use proptest::prelude::*;
use std::collections::BTreeMap;
use tombolo_api::ObjectKey;
use tombolo_proto::{ResourceSet, ResourceType, Scope, Version};
use tombolo_registry::Index;
use tombolo_translate::{
    Engine, Variant,
    engine::{Fact, Relation},
};
use universe::{Edit, TRUST, source};

type Resources = BTreeMap<(String, ResourceType, String), Version>;

/// What comes from outside: who is connected.
fn connected() -> Vec<(Relation, Fact)> {
    let variant = Variant { zone: "z1".into(), node: "".into(), ipv4: true, ipv6: false };
    vec![
        (Relation::SidecarNamespace("a".into()), Fact::Unit),
        (Relation::SidecarNamespace("b".into()), Fact::Unit),
        (Relation::Variants, Fact::Variant(variant)),
    ]
}

fn resources(engine: &Engine) -> Resources {
    let entry = |(scope, r): (&Scope, &std::sync::Arc<tombolo_proto::Resource>)| {
        ((scope.to_string(), r.kind(), r.name().to_string()), r.version())
    };
    engine.resources().map(entry).collect()
}

fn published(set: &ResourceSet) -> Resources {
    let scopes = set.scopes();
    let entries = scopes
        .flat_map(|s| set.resources(s).map(move |r| ((s.to_string(), r.kind(), r.name().to_string()), r.version())));
    entries.collect()
}

fn statuses(engine: &Engine) -> BTreeMap<ObjectKey, String> {
    engine.statuses().into_iter().map(|(key, status)| (key, serde_json::to_string(&status).unwrap())).collect()
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..=TRUST, 0..100usize).prop_map(|(slot, content)| Edit { slot, content });
    prop::collection::vec(edit, 1..40)
}

/// Applies edits one at a time, and compares with a translation from scratch after the last, and now and then before.
fn check(edits: &[Edit], from_scratch_every: usize) {
    let mut index = Index::default();
    let mut engine = Engine::default();
    engine.insert_facts(connected());
    let mut set = ResourceSet::default();
    let mut told = BTreeMap::new();
    let mut problems = std::collections::BTreeSet::new();
    let mut trust = Vec::new();
    for (i, edit) in edits.iter().enumerate() {
        let changed = match (edit.trust(), edit.object()) {
            (Some(roots), _) => {
                engine.insert_facts(roots.clone());
                engine.remove_facts(std::mem::replace(&mut trust, roots));
                Default::default()
            }
            (None, Some(object)) => index.apply(&source(), object),
            (None, None) => index.delete(&edit.key()),
        };
        let outcome = engine.apply(index.current(), changed);
        for change in outcome.changes {
            assert!(set.apply(change), "a change that changes nothing was published");
        }
        for (key, status) in outcome.statuses {
            match status {
                Some(status) => drop(told.insert(key, serde_json::to_string(&status).unwrap())),
                None => drop(told.remove(&key)),
            }
        }
        problems.retain(|p| !outcome.resolved.contains(p));
        problems.extend(outcome.appeared);
        if i + 1 == edits.len() || (i + 1) % from_scratch_every == 0 {
            let facts = connected().into_iter().chain(trust.clone());
            let (scratch, _) = Engine::from_scratch(index.current(), facts);
            assert_eq!(resources(&engine), resources(&scratch), "resources after edit {i}");
            assert_eq!(published(&set), resources(&scratch), "published resources after edit {i}");
            assert_eq!(statuses(&engine), statuses(&scratch), "statuses after edit {i}");
            assert_eq!(told, statuses(&scratch), "told statuses after edit {i}");
            assert_eq!(problems, scratch.problems(), "problems after edit {i}");
            assert_eq!(engine.len(), scratch.len(), "units after edit {i}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(edits in edits()) {
        check(&edits, 16);
    }
}

#[test]
fn an_edit_that_changes_nothing_builds_nothing() {
    let mut index = Index::default();
    let edit = Edit { slot: 1, content: 1 };
    let mut engine = Engine::default();
    let changed = index.apply(&source(), edit.object().unwrap());
    assert!(engine.apply(index.current(), changed).built > 0);
    let changed = index.apply(&source(), edit.object().unwrap());
    assert_eq!(engine.apply(index.current(), changed).built, 0);
}
