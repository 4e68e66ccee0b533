//! Whatever happens in whatever order, the client ends up with what it may see of what it asked for.

use super::model::{BAD, Model, resource};
use proptest::prelude::*;
use std::time::Duration;
use tombolo_proto::{Framing, ResourceType, Scope};

#[derive(Clone, Debug)]
enum Step {
    /// Content 0 is none, 1 is bad.
    Publish(bool, ResourceType, u8, u8),
    Subscribe(ResourceType, u8),
    Unsubscribe(ResourceType, u8),
    SubscribeAll(ResourceType),
    Read,
    Wait(u64),
    Reclassify(bool),
    Reconnect,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    // Nobody publishes the table of names: its law is its own.
    let published = ResourceType::ALL.into_iter().filter(|kind| *kind != ResourceType::NameTable);
    let kind = move || proptest::sample::select(published.clone().collect::<Vec<_>>());
    let name = || 0u8..4;
    prop_oneof![
        8 => (any::<bool>(), kind(), name(), 0u8..5).prop_map(|(own, kind, name, content)| Step::Publish(own, kind, name, content)),
        4 => (kind(), name()).prop_map(|(kind, name)| Step::Subscribe(kind, name)),
        2 => (kind(), name()).prop_map(|(kind, name)| Step::Unsubscribe(kind, name)),
        2 => prop_oneof![Just(ResourceType::Cluster), Just(ResourceType::Listener), Just(ResourceType::Name)].prop_map(Step::SubscribeAll),
        6 => Just(Step::Read),
        2 => (0u64..6000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reclassify),
        1 => Just(Step::Reconnect),
    ]
}

fn take(m: &mut Model, step: &Step) {
    let own = Scope::namespace("own");
    match *step {
        Step::Publish(mine, kind, name, content) => {
            let name = NAMES[name as usize];
            let scope = if mine { own } else { Scope::public() };
            let text = if content == 1 { BAD.to_owned() } else { content.to_string() };
            let cluster = NAMES[content as usize % 4];
            let refs = match kind {
                ResourceType::Routes => vec![(ResourceType::Cluster, cluster)],
                ResourceType::Listener => vec![(ResourceType::Routes, cluster)],
                _ => vec![],
            };
            m.publish_to(&scope, kind, name, (content > 0).then(|| resource(kind, name, &text, &refs)));
        }
        Step::Subscribe(kind, name) => m.subscribe(kind, &[NAMES[name as usize]]),
        Step::Unsubscribe(kind, name) => m.unsubscribe(kind, NAMES[name as usize]),
        Step::SubscribeAll(kind) => m.subscribe_all(kind),
        Step::Read => _ = m.read(),
        Step::Wait(ms) => m.advance(Duration::from_millis(ms)),
        Step::Reclassify(mine) => {
            let scopes = [own, Scope::public()];
            m.reclassify(if mine { &scopes } else { &scopes[1..] });
        }
        Step::Reconnect => {
            // A state-of-the-world client that left a name and asked for it again says by its version that it holds it, until
            // it has read the answer: nothing in the protocol tells the two apart.
            while m.framing == Framing::StateOfTheWorld && m.read().is_some() {}
            m.reconnect();
        }
    }
}

/// What the client goes on with in place of what it rejects, names this: it stays although it is gone.
fn is_kept(m: &Model, kind: ResourceType, name: &str) -> bool {
    let withheld = ResourceType::ALL
        .iter()
        .filter_map(|kind| m.session.channel(*kind))
        .flat_map(|channel| channel.withheld.values());
    withheld
        .filter_map(|withheld| withheld.base.resource())
        .flat_map(|r| r.refs())
        .any(|r| r.kind == kind && &*r.name == name)
}

/// What is wrong with what the client holds, after it has read and answered everything.
fn fault(m: &Model, framing: Framing) -> Option<String> {
    for kind in ResourceType::ALL {
        let Some(channel) = m.session.channel(kind) else { continue };
        // Who comes back with a version of the whole and rejects a part of the new one: nobody knows what it holds.
        let obscure = channel.unsearchable
            || framing == Framing::StateOfTheWorld && channel.resumed && !channel.withheld.is_empty();
        for name in NAMES {
            let wanted = m.session.wants(kind, name, &m.index);
            let (visible, held) = (wanted.clone().flatten(), m.held(kind, name));
            let rejected = channel.withheld.get(name).map(|withheld| withheld.version);
            if visible.is_none() && is_kept(m, kind, name) {
                continue;
            }
            let fine = match (&wanted, &visible) {
                _ if obscure => true,
                (None, _) => {
                    held.is_none()
                        || framing == Framing::StateOfTheWorld && !crate::session::naming_nothing_is_everything(kind)
                }
                (_, Some(r)) if r.value().starts_with(BAD.as_bytes()) => {
                    rejected == Some(r.version()) && held != rejected
                }
                (_, Some(r)) => held == Some(r.version()) && rejected.is_none(),
                (_, None) if kind == ResourceType::Endpoints => held.is_some(),
                (_, None) => held.is_none() || framing == Framing::StateOfTheWorld,
            };
            if !fine {
                return Some(format!(
                    "{} {name}: visible {visible:?}, held {held:?}, rejected {rejected:?}",
                    kind.short()
                ));
            }
        }
        if channel.is_busy() && !channel.queue.names().all(|name| is_kept(m, kind, name)) {
            return Some(format!("{} is not settled: {channel:?}", kind.short()));
        }
    }
    None
}

fn holds(framing: Framing, outspoken: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut m = Model::new(framing);
    m.outspoken = outspoken;
    for step in steps {
        take(&mut m, step);
    }
    m.settle();
    if let Some(fault) = fault(&m, framing) {
        return Err(TestCaseError::fail(fault));
    }
    if framing == Framing::Delta {
        let rejected =
            ResourceType::ALL.iter().any(|kind| m.session.channel(*kind).is_some_and(|c| !c.withheld.is_empty()));
        m.reconnect();
        let read = m.settle();
        let anything = read.iter().any(|r| !r.resources.is_empty());
        prop_assert!(rejected || !anything, "an unchanged reconnect is sent {read:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delta_ends_with_what_is_visible(outspoken: bool, steps in proptest::collection::vec(step(), 0..40)) {
        holds(Framing::Delta, outspoken, &steps)?;
    }

    #[test]
    fn state_of_the_world_ends_with_what_is_visible(outspoken: bool, steps in proptest::collection::vec(step(), 0..40)) {
        holds(Framing::StateOfTheWorld, outspoken, &steps)?;
    }
}
