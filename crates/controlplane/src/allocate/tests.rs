//! Allocation: stable, remembered, bounded.

use super::*;
use crate::FileStore;
use proptest::prelude::*;
use std::{fs, path::Path};

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

fn needs(names: &[(&str, bool)]) -> Needs {
    names.iter().map(|(name, needed)| (host(name), *needed)).collect()
}

fn open(directory: &Path) -> Allocator {
    Allocator::open(Arc::new(FileStore::open(directory).unwrap())).unwrap()
}

/// What an answer says holds from now on, by host.
fn said(answer: &Answer) -> BTreeMap<String, Allocation> {
    let one = |fact: &(Relation, Fact)| match fact {
        (Relation::Allocated(host), Fact::Allocation(allocation)) => (host.to_string(), allocation.clone()),
        other => panic!("{other:?}"),
    };
    answer.facts.iter().map(one).collect()
}

/// Two hosts that want one address.
fn rivals() -> [Host; 2] {
    let mut seen = BTreeMap::new();
    (0..)
        .map(|i| host(&format!("h{i}.example.com")))
        .find_map(|host| {
            let other = seen.insert(AutoAddress::preferred(&host), host.clone())?;
            Some([other, host])
        })
        .unwrap()
}

#[test]
fn a_host_keeps_its_address_across_restarts_and_whoever_comes() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = rivals();
    let mut one = open(directory.path());
    one.answer(&[(second.clone(), true)].into());
    one.answer(&[(first.clone(), true)].into());
    let before = one.given.clone();
    assert_eq!(before[&second], AutoAddress::preferred(&second));
    assert_eq!(before[&first], AutoAddress::preferred(&first).next(), "the later one evades");
    let mut again = open(directory.path());
    let answer = again.answer(&[(first.clone(), true), (second.clone(), true)].into());
    assert_eq!(said(&answer)[first.as_str()], Allocation::Given(before[&first]));
    assert_eq!(again.given, before, "although they come in the other order");
}

#[test]
fn a_host_that_goes_is_forgotten_by_translation_and_finds_its_address_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut allocator = open(directory.path());
    let [first, second] = rivals();
    allocator.answer(&[(first.clone(), true), (second.clone(), true)].into());
    let evading = allocator.given[&second];
    let gone = allocator.answer(&[(first.clone(), false), (second.clone(), false)].into());
    assert_eq!((gone.facts.len(), gone.withdrawn.len()), (0, 2));
    let mut allocator = open(directory.path());
    let back = allocator.answer(&[(second.clone(), true)].into());
    assert_eq!(said(&back)[second.as_str()], Allocation::Given(evading), "its rival is gone, and yet");
    assert_eq!(allocator.released, [first]);
}

#[test]
fn who_was_there_before_a_restart_and_is_no_more_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).answer(&needs(&[("a.example.com", true), ("b.example.com", true)]));
    let mut again = open(directory.path());
    again.answer(&needs(&[("b.example.com", true)]));
    again.release_absent();
    assert_eq!(again.released, [host("a.example.com")]);
    assert_eq!(open(directory.path()).released, [host("a.example.com")]);
}

#[test]
fn nothing_is_used_before_it_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let mut allocator = open(directory.path());
    allocator.answer(&needs(&[("a.example.com", true)]));
    let obstacle = directory.path().join(format!(".{FILE}.new"));
    fs::create_dir(&obstacle).unwrap();
    let answer = allocator.answer(&needs(&[("b.example.com", true)]));
    let said_now = said(&answer);
    assert_eq!(said_now.len(), 1, "who has one is not touched");
    assert!(
        matches!(&said_now["b.example.com"], Allocation::Unsaved(why) if why.contains("cannot write")),
        "{said_now:?}"
    );
    assert!(allocator.is_behind());
    fs::remove_dir(&obstacle).unwrap();
    let answer = allocator.answer(&Needs::new());
    let preferred = AutoAddress::preferred(&host("b.example.com"));
    assert_eq!(said(&answer)["b.example.com"], Allocation::Given(preferred));
    assert_eq!(answer.withdrawn.len(), 1);
    assert!(!allocator.is_behind());
    assert_eq!(open(directory.path()).given.len(), 2);
}

#[test]
fn an_unreadable_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE), "{\"given\": {\"a.exam").unwrap();
    let mut allocator = open(directory.path());
    allocator.answer(&needs(&[("a.example.com", true)]));
    assert_eq!(fs::read_to_string(directory.path().join(UNREADABLE)).unwrap(), "{\"given\": {\"a.exam");
    assert_eq!(open(directory.path()).given.len(), 1);
}

#[test]
fn addresses_that_are_not_ours_or_twice_are_not_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let record = r#"{"given": {"a.b": "240.240.1.1", "c.d": "240.240.1.1", "e.f": "10.0.0.1"}, "released": ["a.b", "x.y", "a.b"]}"#;
    fs::write(directory.path().join(FILE), record).unwrap();
    let allocator = open(directory.path());
    assert_eq!(allocator.given.keys().collect::<Vec<_>>(), [&host("a.b")]);
    assert_eq!(allocator.released, [host("a.b")]);
}

#[test]
fn who_comes_when_all_are_taken_is_told_so_and_gets_the_first_that_is_let_go() {
    let mut allocator = Allocator::default();
    let all: Needs = (0..AutoAddress::COUNT).map(|i| (host(&format!("h{i}.example.com")), true)).collect();
    assert!(said(&allocator.answer(&all)).values().all(|a| matches!(a, Allocation::Given(_))));
    let late = allocator.answer(&needs(&[("late.example.com", true)]));
    assert_eq!(said(&late)["late.example.com"], Allocation::Exhausted);
    let address = allocator.given[&host("h7.example.com")];
    let freed = allocator.answer(&needs(&[("h7.example.com", false)]));
    assert_eq!(said(&freed)["late.example.com"], Allocation::Given(address));
}

#[test]
fn what_was_let_go_is_kept_for_a_while_and_not_for_ever() {
    let mut allocator = Allocator::default();
    for i in 0..2 * RELEASED {
        let host = host(&format!("h{i}.example.com"));
        allocator.answer(&[(host.clone(), true)].into());
        allocator.answer(&[(host, false)].into());
    }
    assert_eq!(
        (allocator.released.len(), allocator.given.len(), allocator.taken.len()),
        (RELEASED, RELEASED, RELEASED)
    );
    assert!(allocator.told.is_empty() && allocator.unsaved.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes and goes: no two hosts have one address, nobody's changes while it is needed, and what translation was
    /// told is what is so.
    #[test]
    fn addresses_are_nobody_elses_and_stay(steps in prop::collection::vec(prop::collection::btree_map(0u8..12, any::<bool>(), 1..4), 1..30)) {
        let mut allocator = Allocator::default();
        let mut holds = BTreeMap::new();
        let mut needed = BTreeMap::new();
        for step in steps {
            // Only changes are told.
            let step: BTreeMap<u8, bool> = step.into_iter().filter(|(i, now)| needed.get(i).copied().unwrap_or(false) != *now).collect();
            needed.extend(step.iter().map(|(i, now)| (*i, *now)));
            let answer = allocator.answer(&step.iter().map(|(i, now)| (host(&format!("h{i}.a")), *now)).collect());
            for (relation, _) in &answer.withdrawn {
                prop_assert!(holds.remove(relation).is_some());
            }
            for (relation, fact) in answer.facts {
                prop_assert!(holds.insert(relation, fact).is_none(), "an address changed while it was needed");
            }
            prop_assert_eq!(holds.len(), needed.values().filter(|now| **now).count());
            prop_assert_eq!(holds.values().collect::<BTreeSet<_>>().len(), holds.len());
        }
    }
}

#[test]
fn what_others_state_is_gone_by_whoever_came_first_here() {
    let [first, second] = rivals();
    let (mut writer, mut follower) = (Allocator::default(), Allocator::default());
    writer.answer(&[(first.clone(), true)].into());
    writer.answer(&[(second.clone(), true)].into());
    // The other one hears of them in the other order.
    follower.answer(&[(second.clone(), true)].into());
    follower.answer(&[(first.clone(), true)].into());
    assert_ne!(writer.given, follower.given);
    let stated = |host: &Host| (host.clone(), writer.given[host].v4());
    let answer = follower.adopt(&[stated(&first)]);
    assert_eq!(said(&answer)[first.as_str()], Allocation::Given(writer.given[&first]));
    follower.adopt(&[stated(&second)]);
    assert_eq!(writer.given, follower.given);
    assert!(follower.adopt(&[stated(&first), stated(&second)]).facts.is_empty(), "it is known");
    let answer = follower.adopt(&[(host("late.example.com"), writer.given[&first].v4())]);
    assert!(answer.facts.is_empty() && !follower.given.contains_key(&host("late.example.com")), "the first keeps it");
}

#[test]
fn what_was_stated_before_is_kept_and_what_nobody_needs_is_let_go() {
    let mut allocator = Allocator::default();
    let address = AutoAddress::preferred(&host("x.example.com")).next();
    let stated = [(host("a.example.com"), address.v4()), (host("b.example.com"), address.next().v4())];
    allocator.adopt(&stated);
    let answer = allocator.answer(&needs(&[("a.example.com", true)]));
    assert_eq!(said(&answer)["a.example.com"], Allocation::Given(address));
    allocator.release_unneeded(&stated);
    assert_eq!(allocator.released, [host("b.example.com")]);
    assert!(
        allocator.adopt(&[(host("c.example.com"), Ipv4Addr::new(10, 0, 0, 1))]).facts.is_empty(),
        "not one of these"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is stated and needed in whatever order: nobody shares an address, and who needs one has one.
    #[test]
    fn no_two_hosts_share_an_address(steps in prop::collection::vec((0..12_u8, 0..8_u8, any::<bool>()), 1..40)) {
        let mut allocator = Allocator::default();
        let name = |n: u8| host(&format!("h{n}.example.com"));
        for (who, which, flag) in steps {
            if flag {
                allocator.adopt(&[(name(who), Ipv4Addr::new(240, 240, 0, which + 1))]);
            } else {
                allocator.answer(&[(name(who), which != 0)].into());
            }
            let distinct: HashSet<_> = allocator.given.values().copied().collect();
            prop_assert_eq!(distinct.len(), allocator.given.len());
            prop_assert_eq!(&distinct, &allocator.taken);
            prop_assert!(allocator.needed.iter().all(|host| allocator.given.contains_key(host)));
            prop_assert!(allocator.lacking.is_empty());
        }
    }
}
