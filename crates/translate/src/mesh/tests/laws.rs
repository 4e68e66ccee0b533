//! Laws: the order of edits does not matter, and what is translated bit by bit equals a translation from scratch.

use super::universe::{SLOTS, object};
use crate::{
    Interception, Variant,
    testing::{World, objects},
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tombolo_core::SourceId;

/// The slot after those of objects.
const SLOTS_END: usize = SLOTS.len();

/// What the mesh may trust.
const ROOTS: [&[&str]; 3] = [&[], &["ROOT A"], &["ROOT A", "ROOT B"]];

fn connected() -> World {
    let mut world = World::default();
    world.connect(&["a", "b", "c"]);
    world.connect_variant(&Variant { zone: "z1".into(), node: "n1".into(), ipv4: true, ipv6: false });
    world
}

/// Edits: a slot, and what stands in it from then on; beyond the last content nothing does. Beyond the last slot are the roots that
/// the mesh trusts.
fn edits() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..=SLOTS.len(), 0..6_usize), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(edits in edits()) {
        let mut world = connected();
        let mut problems = BTreeSet::new();
        for (slot, content) in edits {
            let outcome = match slot {
                SLOTS_END => world.trust(ROOTS[content % ROOTS.len()]),
                _ => match object(slot, content) {
                    Some(yaml) => world.apply(&yaml),
                    None => object(slot, 0).map(|yaml| world.delete(&yaml)).unwrap_or_default(),
                },
            };
            problems.retain(|problem| !outcome.resolved.contains(problem));
            problems.extend(outcome.appeared);
        }
        for namespace in ["a", "b", "c", "d"] {
            [("", Interception::Captured), ("local", Interception::Explicit)]
                .iter()
                .for_each(|(workload, interception)| super::unique(&world, namespace, workload, *interception));
        }
        let scratch = world.scratch();
        prop_assert_eq!(world.differences(&scratch), Vec::<String>::new());
        prop_assert_eq!(world.engine.statuses(), scratch.engine.statuses());
        prop_assert_eq!(problems, scratch.engine.problems());
        prop_assert_eq!(world.engine.len(), scratch.engine.len());
    }

    #[test]
    fn the_order_of_objects_does_not_matter(contents in prop::collection::vec(0..6_usize, SLOTS.len()), seed in any::<u64>()) {
        let mut order: Vec<String> = contents.into_iter().enumerate().filter_map(|(slot, content)| object(slot, content)).collect();
        let mut one = connected();
        one.trust(&["ROOT A"]);
        order.iter().for_each(|yaml| drop(one.apply(yaml)));
        order.sort_by_key(|yaml| xxhash_rust::xxh3::xxh3_64_with_seed(yaml.as_bytes(), seed));
        let mut other = connected();
        order.iter().for_each(|yaml| drop(other.apply(yaml)));
        other.trust(&["ROOT A"]);
        prop_assert_eq!(one.differences(&other), Vec::<String>::new());
        prop_assert_eq!(one.engine.statuses(), other.engine.statuses());
        prop_assert_eq!(one.engine.problems(), other.engine.problems());
    }
}

#[test]
fn every_slot_of_the_universe_is_valid() {
    for (slot, contents) in SLOTS.iter().enumerate() {
        for content in 0..contents.len() - 1 {
            let keys: BTreeSet<_> = objects(&object(slot, content).unwrap())
                .iter()
                .map(|object| object.key(SourceId::new("test")))
                .chain(objects(&object(slot, 0).unwrap()).iter().map(|object| object.key(SourceId::new("test"))))
                .collect();
            assert_eq!(keys.len(), 1, "every content of a slot is the same object");
        }
    }
}
