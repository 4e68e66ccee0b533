//! Row c: one changed endpoint to the last of 1,000 clients.

use super::{
    Measured, RowId,
    edits::Edits,
    staging::{LONG, Stage, record},
    subject::Subject,
    verdict,
};
use anyhow::Context as _;
use std::{thread, time::Duration};
use tombolo_bench::{
    clock::Moment,
    fixture::Mesh,
    floor::Floor,
    generator::{Arrivals, Generator, Message},
    report::{Pairs, median},
    sequence::Sequence,
};

const MESH: Mesh = Mesh { services: 3000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 1000;
/// Changes in each half of a pair, whose median counts.
const CHANGES: usize = 20;
/// Between two changes: time for the acknowledgements of the last one, so that each is alone.
const PAUSE: Duration = Duration::from_millis(40);

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let subject = Subject::start(MESH.manifests())?;
    let (mut edits, mut clients) = (Edits::new(MESH), stage.generator()?);
    let start = record(&mut clients, |clients| {
        clients.connect(subject.address(), CLIENTS, MESH.namespaces, LONG)?;
        Ok(())
    })?;
    let change = record(&mut clients, |clients| alone(clients, &subject, &mut edits, 1).map(drop))?;
    let change = change.messages.first().context("the change was no message")?;

    let floor = Floor::start(start)?;
    let mut others = stage.generator()?;
    others.connect(floor.address(), CLIENTS, MESH.namespaces, LONG)?;
    let mut number = 0;
    let pairs = Pairs::measure(
        Pairs::LEAST,
        || last(&alone(&mut clients, &subject, &mut edits, CHANGES)?),
        || last(&bursts(&mut others, &floor, change, &mut number)?),
    )?;
    verdict::check(&mut clients, &subject, MESH, &edits)?;
    let (Some(ratio), Some(ours), Some(base)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let note = format!("pairs {ratio}; ours {:.1} ms, floor {:.1} ms", ours.median * 1e3, base.median * 1e3);
    let title = "one endpoint changed to the last of 1,000 clients of 3,000 services, over the floor";
    Ok(RowId::C.row(title, ratio.median, note).into())
}

/// When a change was made, and when each client had it.
pub(super) struct Spreading {
    pub(super) made: Moment,
    pub(super) arrivals: Arrivals,
}

/// Changes that are made when the last one has long been with everybody.
pub(super) fn alone(
    clients: &mut Generator,
    subject: &Subject,
    edits: &mut Edits,
    count: usize,
) -> anyhow::Result<Vec<Spreading>> {
    let make = || {
        let edit = edits.make();
        Ok((subject.edit(&edit.text)?, edit.sequence))
    };
    spread(clients, count, make)
}

fn bursts(
    clients: &mut Generator,
    floor: &Floor,
    change: &Message,
    number: &mut u32,
) -> anyhow::Result<Vec<Spreading>> {
    let make = || {
        *number += 1;
        let sequence = Sequence::new(*number);
        Ok((floor.burst(&change.with_sequence(sequence)), sequence))
    };
    spread(clients, CHANGES, make)
}

fn spread(
    clients: &mut Generator,
    count: usize,
    mut make: impl FnMut() -> anyhow::Result<(Moment, Sequence)>,
) -> anyhow::Result<Vec<Spreading>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (made, sequence) = make()?;
        clients.wait(sequence, LONG)?;
        let arrivals = clients.arrivals()?.pop().context("the change has arrived nowhere")?;
        all.push(Spreading { made, arrivals });
        thread::sleep(PAUSE);
    }
    Ok(all)
}

/// Seconds to the last client, the median over the changes.
fn last(changes: &[Spreading]) -> anyhow::Result<f64> {
    let took = |change: &Spreading| Some(change.arrivals.last()?.since(change.made).as_secs_f64());
    let took: Option<Vec<f64>> = changes.iter().map(took).collect();
    took.and_then(|took| median(&took)).context("a change has not reached everybody")
}
