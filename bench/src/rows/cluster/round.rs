//! What is measured of one control plane from its start to its end.

use super::{
    super::{
        edits::Edits,
        reconnect::{QUIET, received, until_quiet},
        staging::{LONG, Stage},
        staleness::ages,
    },
    api_server::ApiServer,
    peer::{Peer, Program},
    scale::Scale,
};
use anyhow::{Context as _, ensure};
use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tombolo_bench::{clock::Moment, generator::Generator, oracle, sequence::Sequence};

/// Changes that are made alone.
const ALONE: usize = 20;
/// Between them: time for the acknowledgements, and for whoever waits for more changes to come.
const PAUSE: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_millis(20);
/// Ten seconds' worth.
const CHANGES: usize = 500;

/// The figures of one process. Seconds, unless they say otherwise.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// From when it was started until the last client had everything, and what CPU that took.
    pub(super) cold: f64,
    pub(super) cold_cpu: f64,
    /// From when a change was about to be written until the last client had it, each.
    pub(super) alone: Vec<f64>,
    /// Of the same changes, how old they were at each client.
    pub(super) alone_ages: Vec<f64>,
    /// Bytes of resources to each client for a change.
    pub(super) change_bytes: f64,
    /// How old changes were at each client while many came, from when they were due; in order.
    pub(super) churn: Vec<f64>,
    /// CPU for each of them.
    pub(super) churn_cpu: f64,
    /// How late changes were written, at most.
    pub(super) late: f64,
    /// Until clients that came back had all they were sent, and the bytes of that.
    pub(super) back: f64,
    pub(super) back_bytes: f64,
    /// Megabytes that were resident at most.
    pub(super) peak: f64,
}

/// Measures one process, on an API server with a mesh and its edits so far.
pub(super) fn measure(
    program: &Program,
    stage: &Stage,
    api: &ApiServer,
    scale: Scale,
    edits: &mut Edits,
) -> anyhow::Result<Round> {
    let mut clients = stage.generator()?;
    let peer = Peer::start(program, api)?;
    let mut round = Round::default();
    let settled = clients.connect(peer.address, scale.clients, scale.mesh.namespaces, LONG)?;
    (round.cold, round.cold_cpu) = (settled.last_request.since(peer.began).as_secs_f64(), peer.cpu()?);
    alone(&mut clients, api, edits, scale, &mut round)?;
    let before = peer.cpu()?;
    churn(&mut clients, api, edits, &mut round)?;
    round.churn_cpu = (peer.cpu()? - before) / changes(edits) as f64;
    back(&mut clients, &peer, &mut round)?;
    check(&mut clients, scale, edits)?;
    round.peak = peer.peak()?;
    Ok(round)
}

fn alone(
    clients: &mut Generator,
    api: &ApiServer,
    edits: &mut Edits,
    scale: Scale,
    round: &mut Round,
) -> anyhow::Result<()> {
    until_quiet(clients)?;
    for _ in 0..ALONE {
        let edit = edits.make();
        let made = Moment::now();
        api.runtime.block_on(ApiServer::write(&api.client, &edit))?;
        clients.wait(edit.sequence, LONG)?;
        let arrivals = clients.arrivals()?.pop().context("the change has arrived nowhere")?;
        let last = arrivals.last().context("a change has not reached everybody")?;
        round.alone.push(last.since(made).as_secs_f64());
        round.alone_ages.extend(ages(made, &arrivals));
        thread::sleep(PAUSE);
    }
    let bytes = received(clients)?.bytes as f64;
    round.change_bytes = bytes / (ALONE * scale.clients) as f64;
    Ok(())
}

/// Fewer than there are services: changes of one service would hide each other.
fn changes(edits: &Edits) -> usize {
    CHANGES.min(edits.services().saturating_sub(1))
}

struct Made {
    sequence: Sequence,
    due: Moment,
    late: f64,
}

fn churn(clients: &mut Generator, api: &ApiServer, edits: &mut Edits, round: &mut Round) -> anyhow::Result<()> {
    let made = paced(api, edits)?;
    for made in &made {
        clients.wait(made.sequence, LONG)?;
    }
    let arrivals = clients.arrivals()?;
    for made in &made {
        let of = arrivals.iter().find(|arrivals| arrivals.sequence == made.sequence).context("a change was lost")?;
        round.churn.extend(ages(made.due, of));
        round.late = round.late.max(made.late);
    }
    round.churn.sort_by(f64::total_cmp);
    Ok(())
}

/// Writes changes at a fixed pace. One that takes its time does not put off the others.
fn paced(api: &ApiServer, edits: &mut Edits) -> anyhow::Result<Vec<Made>> {
    let (start, began) = (Instant::now(), Moment::now());
    let (mut all, mut writes) = (Vec::new(), JoinSet::new());
    for nth in 1..=changes(edits) {
        let (edit, offset) = (edits.make(), INTERVAL * u32::try_from(nth)?);
        thread::sleep((start + offset).saturating_duration_since(Instant::now()));
        let due = began.after(offset);
        all.push(Made { sequence: edit.sequence, due, late: Moment::now().since(due).as_secs_f64() });
        let client = api.client.clone();
        writes.spawn_on(async move { ApiServer::write(&client, &edit).await }, api.runtime.handle());
    }
    api.runtime.block_on(async {
        while let Some(written) = writes.join_next().await {
            written??;
        }
        anyhow::Ok(all)
    })
}

fn back(clients: &mut Generator, peer: &Peer, round: &mut Round) -> anyhow::Result<()> {
    until_quiet(clients)?;
    clients.disconnect()?;
    let start = Instant::now();
    let back = clients.reconnect(peer.address, LONG)?;
    let said = back.last_request.since(back.first_connect).as_secs_f64();
    let came = until_quiet(clients)?;
    let quiet = start.elapsed().saturating_sub(QUIET).as_secs_f64();
    round.back_bytes = came.bytes as f64;
    round.back = if came.responses == 0 { said } else { quiet };
    Ok(())
}

/// Whether each client has what the fixture and its edits say. Other services are the cluster's own.
fn check(clients: &mut Generator, scale: Scale, edits: &Edits) -> anyhow::Result<()> {
    let mut holdings = clients.holdings()?;
    ensure!(!holdings.is_empty(), "nobody holds anything");
    let of_mesh = |name: &str| name.contains(".ns-");
    holdings.iter_mut().for_each(|group| group.resources.retain(|held| of_mesh(&held.name)));
    Ok(oracle::endpoints(&holdings, scale.mesh, |service| edits.of(service))?)
}
