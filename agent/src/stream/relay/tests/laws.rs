//! Whatever happens in whatever order, Envoy ends up with what the control plane wants, and nothing is sent in vain.

use super::{
    BAD,
    world::{ENDPOINTS, KINDS, NAMES, World},
};
use crate::stream::relay::Event;
use proptest::{prelude::*, test_runner::RngSeed};

#[derive(Clone, Debug)]
enum Step {
    /// By control plane, type, name; content 0 is none.
    Change(usize, usize, usize, u8),
    Poll,
    Read,
    Ask(usize, bool),
    ConnectEnvoy,
    DisconnectEnvoy,
    RestartEnvoy,
    RestartAgent,
    OpenLink,
    CloseLink,
    CloseCandidate,
    Switch,
    Quiet,
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2usize, 0..KINDS.len(), 0..NAMES.len(), 0..5u8).prop_map(|(p, k, n, c)| Step::Change(p, k, n, c)),
        8 => Just(Step::Poll),
        8 => Just(Step::Read),
        4 => (0..NAMES.len(), any::<bool>()).prop_map(|(n, wanted)| Step::Ask(n, wanted)),
        3 => Just(Step::ConnectEnvoy),
        1 => Just(Step::DisconnectEnvoy),
        1 => Just(Step::RestartEnvoy),
        1 => Just(Step::RestartAgent),
        3 => Just(Step::OpenLink),
        1 => Just(Step::CloseLink),
        1 => Just(Step::CloseCandidate),
        2 => Just(Step::Switch),
        1 => Just(Step::Quiet),
        1 => Just(Step::Prune),
    ]
}

fn take(w: &mut World, step: &Step) {
    match *step {
        Step::Change(plane, kind, name, content) => {
            let key = (KINDS[kind].to_owned(), NAMES[name].to_owned());
            match content {
                0 => _ = w.wants[plane].remove(&key),
                content => _ = w.wants[plane].insert(key, content),
            }
        }
        Step::Poll => _ = w.poll(),
        Step::Read => _ = w.read(),
        Step::Ask(name, wanted) => w.ask(NAMES[name], wanted),
        Step::ConnectEnvoy => w.connect_envoy(),
        Step::DisconnectEnvoy => w.disconnect_envoy(),
        Step::RestartEnvoy => {
            w.disconnect_envoy();
            w.envoy.restart();
        }
        // What it doubts an agent forgets when it ends.
        Step::RestartAgent if w.envoy.is_torn() => {}
        Step::RestartAgent => w.restart_agent(),
        Step::OpenLink if w.relay.current().is_some() => {}
        Step::OpenLink => w.open_link(),
        Step::CloseLink => w.close_link(w.relay.current()),
        Step::CloseCandidate => w.close_link(w.relay.candidate()),
        Step::Switch => {
            w.plane = 1 - w.plane;
            w.open_link();
        }
        Step::Quiet => w.relay.candidate().into_iter().for_each(|id| w.handle(Event::Quiet(id))),
        Step::Prune => w.handle(Event::Prune),
    }
}

fn settle(w: &mut World) -> Result<(), TestCaseError> {
    w.settle();
    w.handle(Event::Prune);
    w.settle();
    match w.fault() {
        Some(fault) => Err(TestCaseError::fail(fault)),
        None => Ok(()),
    }
}

/// How many resources the control plane sends until all is quiet again.
fn sent_until_quiet(w: &mut World) -> Result<usize, TestCaseError> {
    settle(w)?;
    Ok(w.sessions.values().map(|session| session.sent_resources).sum())
}

fn holds(pending_limit: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut w = World::new(pending_limit);
    steps.iter().for_each(|step| take(&mut w, step));
    settle(&mut w)?;
    let bad = w.wants.iter().flat_map(|wants| wants.values()).any(|content| *content == BAD);
    if bad {
        return Ok(());
    }
    w.plane = w.sessions.values().next().map_or(0, |session| session.plane);
    w.wants[1 - w.plane] = w.wants[w.plane].clone();
    w.close_link(w.relay.current());
    prop_assert_eq!(sent_until_quiet(&mut w)?, 0, "the control plane was away");
    w.plane = 1 - w.plane;
    w.open_link();
    prop_assert!(w.relay.candidate().is_some());
    let before = w.relay.current();
    prop_assert_eq!(sent_until_quiet(&mut w)?, 0, "another control plane of the same mind");
    prop_assert_ne!(before, w.relay.current());
    w.restart_agent();
    prop_assert_eq!(sent_until_quiet(&mut w)?, 0, "the agent was restarted");
    // Envoy starts from what is kept, with the control plane away.
    w.close_link(w.relay.current());
    w.disconnect_envoy();
    let held = w.envoy.holds.clone();
    w.envoy.restart();
    w.restart_agent();
    w.connect_envoy();
    while w.read() {}
    prop_assert_eq!(&w.envoy.holds, &held, "Envoy starts without the control plane");
    prop_assert_eq!(sent_until_quiet(&mut w)?, 0, "the control plane comes back to it");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1000),
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn envoy_ends_with_what_the_control_plane_wants(steps in proptest::collection::vec(step(), 0..60)) {
        holds(1 << 20, &steps)?;
    }

    #[test]
    fn also_where_hardly_anything_may_wait(steps in proptest::collection::vec(step(), 0..60)) {
        holds(60, &steps)?;
    }
}

#[test]
fn endpoints_go_out_again_after_clusters_that_replace_others() {
    let mut w = World::new(1 << 20);
    w.envoy.names.insert("a".to_owned());
    for kind in [KINDS[0], ENDPOINTS] {
        w.wants[0].insert((kind.to_owned(), "a".to_owned()), 2);
    }
    w.settle();
    // The control plane changes the cluster while Envoy does not answer.
    w.wants[0].insert((KINDS[0].to_owned(), "a".to_owned()), 3);
    w.poll();
    w.disconnect_envoy();
    w.close_link(w.relay.current());
    w.connect_envoy();
    let full = w.envoy.inbox.iter().filter(|response| !response.resources.is_empty());
    let kinds: Vec<_> = full.map(|response| response.type_url.as_str()).collect();
    assert_eq!(kinds, [KINDS[0], ENDPOINTS]);
    w.settle();
    assert_eq!(w.fault(), None);
}
