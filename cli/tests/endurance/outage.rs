//! What is killed comes back, and nothing depends on the control plane meanwhile.

use super::{
    agents::{Agent, ByHand, CommandLine},
    client::{Request, resolve},
    load::Load,
    support::{is_running, kill},
    world::{SERVICE, World},
};
use std::{
    env,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

/// For how long the control plane is away.
const AWAY: Duration = Duration::from_secs(5);
/// The port of the workload's HTTP proxy for its own calls.
const HTTP_PROXY: u16 = 15001;
/// The port at which the workload's agent answers DNS.
const DNS: u16 = 15053;

/// [`AWAY`], or as many seconds as `TOMBOLO_TEST_AWAY_SECONDS` says.
fn away() -> Duration {
    let named = env::var("TOMBOLO_TEST_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
    named.map_or(AWAY, Duration::from_secs)
}

/// Through the gateway, and through the workload's own Envoy: both end at the workload, over mutual TLS.
fn serves(world: &World) -> Option<()> {
    let is_served = |answer: (u16, String)| answer.0 == 200 && answer.1.contains("Hash=");
    let target = format!("http://{SERVICE}/");
    let own = Request { to: world.at_workload(HTTP_PROXY), target: &target, host: SERVICE, marker: "" };
    let served = is_served(world.get("/").ok()?) && is_served(own.answer().ok()?);
    served.then_some(())
}

fn name(world: &World) -> Option<Ipv4Addr> {
    resolve(world.at_workload(DNS), SERVICE).ok()
}

/// True once both proxies have asked the control plane for all that they have.
fn have_come_back(world: &World) -> Option<()> {
    let proxies = world.json("/debug/proxies")?;
    let proxies = proxies.as_array()?;
    let asked = |proxy: &serde_json::Value| {
        let types = proxy["types"].as_array().cloned().unwrap_or_default();
        ["cds", "eds", "lds", "rds"].iter().all(|kind| types.iter().any(|t| t["type"] == *kind))
    };
    (proxies.len() == 2 && proxies.iter().all(asked)).then_some(())
}

fn end(pid: i32) {
    kill(pid, "KILL");
    while is_running(pid) {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_a_control_plane_agents_and_envoys_start_from_what_is_on_disk() {
    let Some(mut world) = World::start("{}") else { return };
    world.until("the workload's own calls are served", || serves(&world));
    let address = world.until("the service has an address", || name(&world));
    world.until("both are there", || have_come_back(&world));
    assert!(world.counter("tombolo_xds_resource_bytes") > 0, "the counter counts");
    let agents = world.agents();

    world.kill();
    let went = Instant::now();
    let commands = agents.each_ref().map(|agent| {
        let (pid, envoy) = (agent.pid().unwrap(), agent.envoy().unwrap());
        let command = CommandLine::of(pid);
        // The agent first, or it would start another Envoy.
        end(pid);
        end(envoy);
        command
    });
    assert!(world.get("/").is_err(), "whoever answered was killed");
    let start = |(command, agent): (&CommandLine, &Agent)| command.start(&agent.state.join("agent.log"));
    let mut by_hand: Vec<_> = commands.iter().zip(&agents).map(start).collect();
    world.until("it is served from what is on disk", || serves(&world));
    let load = Load::start(world.gateway);
    while went.elapsed() < away() {
        assert_eq!(name(&world), Some(address), "names are answered from what is on disk");
        serves(&world).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    by_hand.iter_mut().for_each(ByHand::leave);
    let envoys = agents.each_ref().map(Agent::envoy);
    world.run();
    world.until("both come back", || have_come_back(&world));
    world.until("the workload's own calls are served", || serves(&world));
    assert_eq!(world.counter("tombolo_xds_resource_bytes"), 0, "what they have is not sent again");
    assert_eq!(name(&world), Some(address));
    assert_eq!(agents.each_ref().map(Agent::envoy), envoys, "the Envoys went on");
    load.end();
}

#[test]
fn not_one_request_fails_while_agents_are_killed() {
    let Some(world) = World::start("{}") else { return };
    let agents = world.agents();
    let envoys = agents.each_ref().map(|agent| agent.envoy().unwrap());
    let load = Load::start(world.gateway);
    for agent in &agents {
        let killed = agent.pid().unwrap();
        end(killed);
        world.until("another agent is there", || agent.pid().filter(|pid| *pid != killed));
    }
    world.until("both agents come back", || have_come_back(&world));
    // A while of traffic with the new ones.
    let sent = world.app.requests();
    world.until("requests go on", || (world.app.requests() > sent + 200).then_some(()));
    load.end();
    assert_eq!(agents.each_ref().map(|agent| agent.envoy().unwrap()), envoys, "the Envoys went on");
}
