//! Row d: what 1,000 clients that come back with their versions are sent.

use super::{
    Measured, RowId,
    edits::Edits,
    staging::{LONG, Stage},
    subject::Subject,
    verdict,
};
use anyhow::ensure;
use std::{thread, time::Duration};
use tombolo_bench::{
    fixture::Mesh,
    generator::{Generator, Received},
    report::{Pairs, Spread},
};

const MESH: Mesh = Mesh { services: 1000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 1000;
/// How long nothing must have come for it to count as all there was to come.
pub(super) const QUIET: Duration = Duration::from_millis(500);

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let subject = Subject::start(MESH.manifests())?;
    let (mut edits, mut clients) = (Edits::new(MESH), stage.generator()?);
    clients.connect(subject.address(), CLIENTS, MESH.namespaces, LONG)?;
    let (mut bytes, mut times, mut responses) = (Vec::new(), Vec::new(), 0);
    for _ in 0..Pairs::LEAST {
        received(&mut clients)?;
        clients.disconnect()?;
        let back = clients.reconnect(subject.address(), LONG)?;
        times.push(back.last_request.since(back.first_connect).as_secs_f64());
        let came = until_quiet(&mut clients)?;
        responses += came.responses;
        bytes.push(came.bytes as f64);
        alive(&mut clients, &subject, &mut edits)?;
    }
    verdict::check(&mut clients, &subject, MESH, &edits)?;
    let (Some(bytes), Some(times)) = (Spread::of(&bytes), Spread::of(&times)) else { anyhow::bail!("no rounds") };
    let note = format!(
        "{} times, most {} B, {responses} empty responses; all back in {:.2} s",
        Pairs::LEAST,
        bytes.max,
        times.median
    );
    // Not the median: a single byte in a single round is a miss.
    Ok(RowId::D.row("resource bytes sent to 1,000 clients that reconnect, 1,000 services", bytes.max, note).into())
}

/// All that has come of any type since it was last asked.
pub(super) fn received(clients: &mut Generator) -> anyhow::Result<Received> {
    Ok(clients.received()?.into_values().fold(Received::default(), |sum, of_type| Received {
        responses: sum.responses + of_type.responses,
        resources: sum.resources + of_type.resources,
        bytes: sum.bytes + of_type.bytes,
        removed: sum.removed + of_type.removed,
    }))
}

/// All that comes until nothing does.
pub(super) fn until_quiet(clients: &mut Generator) -> anyhow::Result<Received> {
    let mut sum = Received::default();
    loop {
        thread::sleep(QUIET);
        let came = received(clients)?;
        if came == Received::default() {
            return Ok(sum);
        }
        sum.responses += came.responses;
        sum.resources += came.resources;
        sum.bytes += came.bytes;
        sum.removed += came.removed;
    }
}

/// Nothing is sent because nothing need be, not because nobody serves: a change still reaches everybody, once.
fn alive(clients: &mut Generator, subject: &Subject, edits: &mut Edits) -> anyhow::Result<()> {
    let edit = edits.make();
    subject.edit(&edit.text)?;
    clients.wait(edit.sequence, LONG)?;
    let came = until_quiet(clients)?;
    ensure!(came.resources == CLIENTS as u64, "a change was {} resources to {CLIENTS} clients", came.resources);
    Ok(())
}
