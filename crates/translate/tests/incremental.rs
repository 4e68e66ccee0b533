//! The law that everything rests on: after any sequence of edits, what was translated bit by bit equals a translation from
//! scratch, byte for byte.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod universe;

use proptest::prelude::*;
use std::collections::BTreeMap;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{Host, NamespacedName};
use tombolo_proto::{ResourceSet, ResourceType, Scope, Version};
use tombolo_registry::Index;
use tombolo_translate::{
    Allocation, AutoAddress, Engine, Variant,
    engine::{Answer, Fact, Relation},
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

/// Hosts that entries of the universe have, and what may be said of their addresses; the last is nothing.
fn allocation(host: usize, said: usize) -> Option<(Relation, Fact)> {
    let host = ["h.example.com", "i.example.com"].map(|host| Host::parse(host).unwrap())[host].clone();
    let given = AutoAddress::preferred(&host);
    let all = [
        Allocation::Given(given),
        Allocation::Given(given.next()),
        Allocation::Exhausted,
        Allocation::Unsaved("no space left".into()),
    ];
    Some((Relation::Allocated(host), Fact::Allocation(all.into_iter().nth(said)?)))
}

/// What may be said of the health of a workload of the universe; the last is nothing.
fn health(workload: usize, said: usize) -> Option<(Relation, Fact)> {
    let name = NamespacedName::new("a", ["w1", "w2"][workload]);
    let key = ObjectKey { source: source(), kind: Kind::WorkloadEntry, name };
    let verdict = [Ok(()), Err("refused".into()), Err("no answer".into())].into_iter().nth(said)?;
    Some((Relation::Health(key), Fact::Health(verdict)))
}

/// What comes from outside, by what it is about, as of some moment: two hosts, two workloads.
#[derive(Default)]
struct Outside([Option<(Relation, Fact)>; 4]);

impl Outside {
    /// Something else is said of a host, or of a workload.
    fn say(&mut self, about: usize, said: usize) -> Answer {
        let now = if about < 2 { allocation(about, said) } else { health(about - 2, said) };
        let before = std::mem::replace(&mut self.0[about], now.clone());
        Answer { facts: now.into_iter().collect(), withdrawn: before.into_iter().collect() }
    }

    fn facts(&self) -> impl Iterator<Item = (Relation, Fact)> {
        self.0.iter().flatten().cloned().chain(connected())
    }
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

/// One step: an edit, and sometimes also a word from outside.
type Step = (Edit, Option<(usize, usize)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let edit = (0..=TRUST, 0..100usize).prop_map(|(slot, content)| Edit { slot, content });
    let said = prop::option::weighted(0.3, (0..4usize, 0..5usize));
    prop::collection::vec((edit, said), 1..40)
}

/// Applies edits one at a time, and compares with a translation from scratch after the last, and now and then before.
fn check(steps: &[Step], from_scratch_every: usize) {
    let mut index = Index::default();
    let mut engine = Engine::default();
    engine.insert_facts(connected());
    let mut outside = Outside::default();
    let mut set = ResourceSet::default();
    let mut told = BTreeMap::new();
    let mut problems = std::collections::BTreeSet::new();
    let mut trust = Vec::new();
    for (i, (edit, said)) in steps.iter().enumerate() {
        if let Some((about, said)) = said {
            engine.learn(outside.say(*about, *said));
        }
        let changed = match (edit.trust(), edit.object()) {
            (Some(roots), _) => {
                engine.insert_facts(roots.clone());
                engine.remove_facts(std::mem::replace(&mut trust, roots));
                Default::default()
            }
            (None, Some(object)) => index.apply(source(), object),
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
        if i + 1 == steps.len() || (i + 1) % from_scratch_every == 0 {
            let facts = outside.facts().chain(trust.clone());
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
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(steps in steps()) {
        check(&steps, 16);
    }

    // As many again, on another core.
    #[test]
    fn incremental_equals_from_scratch_again(steps in steps()) {
        check(&steps, 16);
    }
}

#[test]
fn an_edit_that_changes_nothing_builds_nothing() {
    let mut index = Index::default();
    let edit = Edit { slot: 1, content: 1 };
    let mut engine = Engine::default();
    let changed = index.apply(source(), edit.object().unwrap());
    assert!(engine.apply(index.current(), changed).built > 0);
    let changed = index.apply(source(), edit.object().unwrap());
    assert_eq!(engine.apply(index.current(), changed).built, 0);
}
