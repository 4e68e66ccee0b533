//! Row f: whether the live heap grows while nothing but time passes.

use super::{
    Measured, RowId,
    edits::Edits,
    staging::{LONG, Stage},
    subject::Subject,
    verdict,
};
use anyhow::Context as _;
use std::{thread, time::Duration};
use tombolo_bench::{
    fixture::{self, Mesh},
    generator::Generator,
    machine,
    report::{Pairs, Spread},
};
use tombolo_controlplane::Edit;

const MESH: Mesh = Mesh { services: 1000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 10;
/// 30 minutes of 50 changes a second.
const CHANGES: usize = 30 * 60 * 50;
/// So often it is waited until all clients have the last change.
const TURN: usize = 100;
/// So often, in turns, a service goes, and comes back half a turn later.
const GOES: usize = 10;
/// So often all clients lose their connections and come back.
const RECONNECT: usize = CHANGES / 9;
/// After it, nothing is on its way any more.
const SETTLE: Duration = Duration::from_millis(300);

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let (mut ratios, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..Pairs::LEAST {
        let (third, end) = live(&stage)?;
        ratios.push(end / third);
        ends.push(end / 1e6);
    }
    let (Some(ratio), Some(end)) = (Spread::of(&ratios), Spread::of(&ends)) else { anyhow::bail!("no runs") };
    let note = format!("runs {ratio}; {:.1} MB at the end, {CHANGES} changes each", end.median);
    let title = "30 minutes of churn, compressed: live heap at the end over that at a third";
    Ok(RowId::F.row(title, ratio.median, note).into())
}

/// Bytes alive at one third of the churn, and at its end.
fn live(stage: &Stage) -> anyhow::Result<(f64, f64)> {
    let subject = Subject::start(MESH.manifests())?;
    let mut clients = stage.generator()?;
    clients.connect(subject.address(), CLIENTS, MESH.namespaces, LONG)?;
    let (mut edits, mut third) = (Edits::new(MESH), None);
    for begin in (0..CHANGES).step_by(TURN) {
        turn(&subject, &mut clients, &mut edits, begin / TURN)?;
        let done = begin + TURN;
        if done.is_multiple_of(RECONNECT) {
            clients.disconnect()?;
            clients.reconnect(subject.address(), LONG)?;
        }
        if third.is_none() && done >= CHANGES / 3 {
            third = Some(heap()?);
        }
    }
    let end = heap()?;
    verdict::check(&mut clients, &subject, MESH, &edits)?;
    Ok((third.context("no third")?, end))
}

/// Some changes as fast as they are taken in; in some turns a service goes and comes back. Returns when all clients have the last change.
fn turn(subject: &Subject, clients: &mut Generator, edits: &mut Edits, nth: usize) -> anyhow::Result<()> {
    let (goes, service) = (nth.is_multiple_of(GOES), nth / GOES % MESH.services);
    let mut last = None;
    for change in 0..TURN {
        if goes && change == 0 {
            subject.delete(MESH.service(service))?;
            subject.delete(MESH.slice(service, None))?;
        }
        if goes && change == TURN / 2 {
            for manifest in [MESH.service(service), MESH.slice(service, edits.of(service))] {
                subject.send(Edit::Apply(fixture::object(manifest)?, None))?;
            }
        }
        let edit = edits.make();
        subject.edit(&edit.text)?;
        last = Some(edit.sequence);
    }
    clients.wait(last.context("no changes")?, LONG)?;
    clients.arrivals()?;
    Ok(())
}

fn heap() -> anyhow::Result<f64> {
    thread::sleep(SETTLE);
    Ok(machine::live_heap()? as f64)
}
