//! Row h: how old what clients have is, while 50 endpoints change every second.

use super::{
    Measured, RowId,
    edits::Edits,
    fan_out::alone,
    staging::{LONG, Stage},
    subject::Subject,
    verdict,
};
use anyhow::{Context as _, ensure};
use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};
use tombolo_bench::{
    clock::Moment,
    fixture::Mesh,
    generator::{Arrivals, Generator},
    report::{Pairs, median},
    sequence::Sequence,
};

const MESH: Mesh = Mesh { services: 3000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 300;
const INTERVAL: Duration = Duration::from_millis(20);
/// Ten seconds' worth.
const CHANGES: usize = 500;
/// Isolated changes in each pair.
const ALONE: usize = 20;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let subject = Subject::start(MESH.manifests())?;
    let mut clients = stage.generator()?;
    clients.connect(subject.address(), CLIENTS, MESH.namespaces, LONG)?;
    let state = RefCell::new((clients, Edits::new(MESH)));
    let mut churned = Vec::new();
    let pairs = Pairs::measure(
        Pairs::LEAST,
        || {
            let (clients, edits) = &mut *state.borrow_mut();
            let churn = churn(clients, &subject, edits)?;
            let middle = churn.percentile(50)?;
            churned.push(churn);
            anyhow::Ok(middle)
        },
        || {
            let (clients, edits) = &mut *state.borrow_mut();
            let changes = alone(clients, &subject, edits, ALONE)?;
            let ages = changes.iter().flat_map(|change| ages(change.made, &change.arrivals));
            median(&ages.collect::<Vec<_>>()).context("no change has arrived")
        },
    )?;
    let (clients, edits) = &mut *state.borrow_mut();
    verdict::check(clients, &subject, MESH, edits)?;
    row(&pairs, &churned)
}

fn row(pairs: &Pairs, churned: &[Churn]) -> anyhow::Result<Measured> {
    let (Some(ratio), Some(ours), Some(base)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let late = churned.iter().map(|churn| churn.late).max().unwrap_or_default();
    let missed: usize = churned.iter().map(|churn| churn.missed).sum();
    let tails = churned.iter().map(|churn| churn.percentile(99)).collect::<anyhow::Result<Vec<_>>>()?;
    let note = format!(
        "pairs {ratio}; median {:.1} ms, p99 {:.1} ms, isolated {:.1} ms; {missed} skipped; edits at most {:.1} ms late",
        ours.median * 1e3,
        median(&tails).context("no rounds")? * 1e3,
        base.median * 1e3,
        late.as_secs_f64() * 1e3
    );
    let title = "staleness at 50 changes/s, 300 clients of 3,000 services: median over an isolated change's";
    Ok(RowId::H.row(title, ratio.median, note).into())
}

/// What clients saw of some changes.
struct Churn {
    /// Seconds from when a change was due to when a client had it, each change and client; in order.
    ages: Vec<f64>,
    /// How often a client had a later change of the same service first.
    missed: usize,
    /// How much later than it was due a change was made.
    late: Duration,
}

impl Churn {
    fn percentile(&self, percent: usize) -> anyhow::Result<f64> {
        self.ages.get(self.ages.len() * percent / 100).copied().context("no change has arrived")
    }
}

fn churn(clients: &mut Generator, subject: &Subject, edits: &mut Edits) -> anyhow::Result<Churn> {
    ensure!(CHANGES < edits.services(), "changes of one service would hide each other");
    let made = thread::scope(|scope| {
        let pacing = scope.spawn(|| paced(subject, edits));
        pacing.join().map_err(|_| anyhow::anyhow!("the edits have failed"))?
    })?;
    let last = made.last().context("no changes")?;
    clients.wait(last.sequence, LONG)?;
    let arrivals = clients.arrivals()?;
    let mut churn = Churn { ages: Vec::new(), missed: 0, late: Duration::ZERO };
    for made in &made {
        let of = arrivals.iter().find(|arrivals| arrivals.sequence == made.sequence).context("a change was lost")?;
        churn.ages.extend(ages(made.due, of));
        churn.late = churn.late.max(made.at.since(made.due));
    }
    churn.missed = made.len() * CLIENTS - churn.ages.len();
    churn.ages.sort_by(f64::total_cmp);
    Ok(churn)
}

struct Made {
    sequence: Sequence,
    due: Moment,
    at: Moment,
}

/// Makes changes at a fixed pace on this thread, which does nothing else. One that is late does not put off the others.
fn paced(subject: &Subject, edits: &mut Edits) -> anyhow::Result<Vec<Made>> {
    let (start, began) = (Instant::now(), Moment::now());
    let mut all = Vec::with_capacity(CHANGES);
    for nth in 1..=CHANGES {
        let offset = INTERVAL * u32::try_from(nth)?;
        let edit = edits.make();
        thread::sleep((start + offset).saturating_duration_since(Instant::now()));
        let at = subject.edit(&edit.text)?;
        all.push(Made { sequence: edit.sequence, due: began.after(offset), at });
    }
    Ok(all)
}

/// Seconds to each client that has received a change.
pub(super) fn ages(made: Moment, arrivals: &Arrivals) -> impl Iterator<Item = f64> {
    arrivals.at.iter().flatten().map(move |at| at.since(made).as_secs_f64())
}
