//! Rows of the agent: the program itself, beside a control plane with 10,000 names, which it reaches as on a machine: over TLS, by a
//! token first. The place of Envoy is kept by a script that sleeps.

mod latency;
mod names;
mod process;

pub(super) use latency::measure as latency;
pub(super) use names::measure as name_bytes;

use super::{Measured, RowId, secured::Secured, staging::LONG};
use process::Agent;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};
use tombolo_bench::{
    fixture::Mesh,
    machine::{self, run_time},
};

const NAMES: usize = 10_000;
const MESH: Mesh = Mesh { services: NAMES, endpoints: 1, namespaces: 10 };
/// What a start leaves to be done is done by then.
const SETTLE: Duration = Duration::from_secs(5);
/// How long is looked on.
const IDLE: Duration = Duration::from_secs(60);

pub(super) fn memory() -> anyhow::Result<Measured> {
    let secured = Secured::start(MESH)?;
    let agent = settled(&secured)?;
    let (resident, own) = (machine::resident(agent.pid())?, machine::anonymous(agent.pid())?);
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let note = format!("of which {:.1} MB are its own data, the rest is the program", megabytes(own));
    let title = "resident memory of an agent with 10,000 names";
    Ok(RowId::AgentMemory.row(title, megabytes(resident.rss), note).into())
}

pub(super) fn idle() -> anyhow::Result<Measured> {
    let secured = Secured::start(MESH)?;
    let agent = settled(&secured)?;
    let (start, before) = (Instant::now(), run_time(agent.pid())?);
    sleep(IDLE);
    let (used, passed) = (run_time(agent.pid())?.saturating_sub(before), start.elapsed());
    let note = format!("{:.1} ms in {:.0} s", used.as_secs_f64() * 1e3, passed.as_secs_f64());
    let title = "CPU of an idle agent, of one core";
    Ok(RowId::AgentIdle.row(title, used.as_secs_f64() / passed.as_secs_f64() * 100.0, note).into())
}

/// One that has all names, and nothing to do any more.
fn settled(secured: &Secured) -> anyhow::Result<Agent> {
    let agent = Agent::start(secured, secured.address)?;
    agent.wait_for_names(NAMES, LONG)?;
    sleep(SETTLE);
    Ok(agent)
}
