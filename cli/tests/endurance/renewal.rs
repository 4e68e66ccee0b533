//! Certificates that end soon: they are renewed in time, and nobody notices.

use super::{load::Load, world::World};
use std::{collections::HashSet, env, fs, time::Duration};

/// Certificates are renewed when half of it is over, so a machine may be busy for the other half.
const LIFETIME: Duration = Duration::from_secs(12);
const LIFETIMES: u32 = 3;

/// [`LIFETIME`], or as many seconds as `TOMBOLO_TEST_CERT_SECONDS` says.
pub(super) fn lifetime() -> Duration {
    let named = env::var("TOMBOLO_TEST_CERT_SECONDS").ok().and_then(|text| text.parse().ok());
    named.map_or(LIFETIME, Duration::from_secs)
}

fn short_lived() -> Option<World> {
    World::start(&format!("{{ca: {{workloadCertTTL: {}s}}}}", lifetime().as_secs()))
}

#[test]
fn not_one_request_fails_while_certificates_are_renewed() {
    let Some(world) = short_lived() else { return };
    let load = Load::start(world.gateway);
    let start = std::time::Instant::now();
    let mut held = world.agents().map(|_| HashSet::new());
    // Three lifetimes of requests, in which each certificate is renewed after about half of one.
    world.within(lifetime() * (LIFETIMES + 3), "three lifetimes of requests, and their certificates", || {
        for (held, agent) in held.iter_mut().zip(world.agents()) {
            held.extend(agent.leaf());
        }
        let renewed = held.iter().all(|held| held.len() > LIFETIMES as usize + 1);
        let failed = !load.failures().is_empty();
        (failed || renewed && start.elapsed() >= lifetime() * LIFETIMES).then_some(())
    });
    load.end();
    // Not only on disk: it was by new certificates that the gateway called.
    let used = world.app.certificates();
    assert!(used > LIFETIMES as usize, "the gateway called by {used} certificates only");
}

#[test]
fn renewal_needs_no_token() {
    let Some(world) = short_lived() else { return };
    let agents = world.agents();
    for agent in &agents {
        fs::remove_file(agent.state.join("token")).unwrap();
    }
    let mut held = agents.each_ref().map(|agent| agent.leaf().unwrap());
    for round in ["first", "second"] {
        for (agent, held) in agents.iter().zip(&mut held) {
            let renewed = || agent.leaf().filter(|leaf| leaf != held);
            let renewed = world.within(lifetime() * 2, &format!("the {round} renewal"), renewed);
            *held = renewed;
        }
    }
    for agent in &agents {
        assert!(!agent.state.join("token").exists(), "nobody brought another one");
    }
    assert_eq!(world.get("/").unwrap().0, 200);
}
