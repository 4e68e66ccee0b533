//! What the rounds come to, row by row.

use super::{super::Measured, ISTIOD, Profile, Round, Rounds, Scale};
use anyhow::Context as _;
use tombolo_bench::report::{Bound, Row, Spread, median};

/// One figure of a round.
type Figure = fn(&Round) -> f64;

/// A row: its name, what it is held against, and what it says.
struct Line {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    target: f64,
    bound: Bound,
}

const fn most(name: &'static str, title: &'static str, unit: &'static str, target: f64) -> Line {
    Line { name, title, unit, target, bound: Bound::Most }
}

const fn least(name: &'static str, title: &'static str, target: f64) -> Line {
    Line { name, title, unit: "x", target, bound: Bound::Least }
}

const COLD: Line =
    most("k-cold-start", "start of the process to the last client's last acknowledgement, over the floor", "x", 2.0);
const ENDPOINT: Line = most("k-endpoint", "one endpoint, from its write to the last client, over the floor", "x", 3.0);
const CHURN: Line = most("k-churn", "staleness at 50 changes/s: median over an isolated change's", "x", 3.0);
const RECONNECT: Line = most("k-reconnect", "resource bytes sent to clients that reconnect", "B", 0.0);
/// A twentieth of the 2.4 GiB that istiod takes for the same.
const MEMORY: Line = most("k-memory", "most resident memory", "MB", 128.0);
const OURS: [Line; 5] = [COLD, ENDPOINT, CHURN, RECONNECT, MEMORY];

const ISTIOD_COLD: Line = least("k-cold-start-istiod", "istiod's cold start over ours", 10.0);
const ISTIOD_CPU: Line = least("k-cold-cpu-istiod", "CPU of istiod's cold start over ours", 15.0);
const ISTIOD_ENDPOINT: Line = least("k-endpoint-istiod", "istiod's last client over ours", 10.0);
const ISTIOD_CHURN: Line = least("k-churn-istiod", "istiod's staleness at 50 changes/s over ours", 500.0);
const ISTIOD_MEMORY: Line = least("k-memory-istiod", "istiod's most memory over ours", 20.0);

const TUNED_COLD: Line = least("k-cold-start-istiod-tuned", "a tuned istiod's cold start over ours", 10.0);
const TUNED_CPU: Line = least("k-cold-cpu-istiod-tuned", "CPU of a tuned istiod's cold start over ours", 15.0);
const TUNED_ENDPOINT: Line = least("k-endpoint-istiod-tuned", "a tuned istiod's last client over ours", 8.0);
const TUNED_CHURN: Line = least("k-churn-istiod-tuned", "a tuned istiod's staleness at 50 changes/s over ours", 15.0);
const TUNED_MEMORY: Line = least("k-memory-istiod-tuned", "a tuned istiod's most memory over ours", 20.0);

impl Line {
    fn row(&self, scale: Scale, value: f64, note: String) -> Row {
        Row {
            name: self.name.into(),
            title: format!("{}, {scale}", self.title),
            value,
            unit: self.unit.into(),
            target: self.target,
            bound: self.bound,
            note,
            skipped: false,
        }
    }
}

/// Nothing could be measured, for want of programs. Where everything is to be there, that is a miss.
pub(super) fn skipped(scale: Scale, why: &str) -> Measured {
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let row = |line: &Line| Row { skipped: !must, ..line.row(scale, f64::NAN, format!("skipped: {why}")) };
    Measured { rows: OURS.iter().map(row).collect(), ..Measured::default() }
}

/// The rows.
pub(super) fn rows(rounds: &Rounds) -> anyhow::Result<Measured> {
    let mut rows = vec![cold(rounds)?, endpoint(rounds)?, churn(rounds)?, reconnect(rounds)?, memory(rounds)?];
    for (profile, theirs) in &rounds.theirs {
        rows.extend(against(rounds, *profile, theirs)?);
    }
    if rounds.theirs.is_empty() {
        let why = format!("skipped: {ISTIOD} names no istiod");
        let compared = least("k-istiod", "the same of istiod, over ours", 10.0);
        rows.push(Row { skipped: true, ..compared.row(rounds.scale, f64::NAN, why) });
    }
    Ok(Measured { rows, ..Measured::default() })
}

fn cold(rounds: &Rounds) -> anyhow::Result<Row> {
    let ratio = ratios(&rounds.ours, &rounds.floor, |round| round.cold, |floor| floor.cold)?;
    let (ours, cpu) = (middle(&rounds.ours, |round| round.cold)?, middle(&rounds.ours, |round| round.cold_cpu)?);
    let floor = middle(&rounds.floor, |round| round.cold)?;
    let first = rounds.first as f64 / 1e6;
    let note =
        format!("pairs {ratio}; ours {ours:.2} s, {cpu:.2} s of CPU; floor {floor:.2} s; {first:.1} MB a client");
    Ok(COLD.row(rounds.scale, ratio.median, note))
}

fn endpoint(rounds: &Rounds) -> anyhow::Result<Row> {
    let typical = |times: &[f64]| median(times).unwrap_or(f64::NAN);
    let ratio = ratios(&rounds.ours, &rounds.floor, |r| typical(&r.alone), |r| typical(&r.alone))?;
    let mut all: Vec<f64> = rounds.ours.iter().flat_map(|round| round.alone.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    let floor = middle(&rounds.floor, |round| typical(&round.alone))?;
    let bytes = middle(&rounds.ours, |round| round.change_bytes)?;
    let note = format!(
        "pairs {ratio}; ours p50 {:.1} ms, p99 {:.1} ms, floor {:.1} ms; {bytes:.0} B a client",
        percentile(&all, 50) * 1e3,
        percentile(&all, 99) * 1e3,
        floor * 1e3
    );
    Ok(ENDPOINT.row(rounds.scale, ratio.median, note))
}

fn churn(rounds: &Rounds) -> anyhow::Result<Row> {
    let alone = |round: &Round| median(&round.alone_ages).unwrap_or(f64::NAN);
    let ratio = ratios(&rounds.ours, &rounds.ours, |round| percentile(&round.churn, 50), alone)?;
    let of = |percent| middle(&rounds.ours, |round| percentile(&round.churn, percent) * 1e3);
    let note = format!(
        "rounds {ratio}; p50 {:.1} ms, p99 {:.1} ms, isolated {:.1} ms; {:.2} ms of CPU a change; written at most {:.1} ms late",
        of(50)?,
        of(99)?,
        middle(&rounds.ours, alone)? * 1e3,
        middle(&rounds.ours, |round| round.churn_cpu)? * 1e3,
        rounds.ours.iter().map(|round| round.late).fold(0.0, f64::max) * 1e3
    );
    Ok(CHURN.row(rounds.scale, ratio.median, note))
}

fn reconnect(rounds: &Rounds) -> anyhow::Result<Row> {
    let worst = |all: &[Round]| all.iter().map(|round| round.back_bytes).fold(0.0, f64::max);
    let mut note = format!("all back in {:.2} s", middle(&rounds.ours, |round| round.back)?);
    for (profile, theirs) in &rounds.theirs {
        let seconds = middle(theirs, |round| round.back)?;
        note += &format!("; istiod, {profile:?}: {:.1} MB in {seconds:.1} s", worst(theirs) / 1e6);
    }
    Ok(RECONNECT.row(rounds.scale, worst(&rounds.ours), note))
}

fn memory(rounds: &Rounds) -> anyhow::Result<Row> {
    let peaks: Vec<f64> = rounds.ours.iter().map(|round| round.peak).collect();
    let peak = Spread::of(&peaks).context("no memory was measured")?;
    Ok(MEMORY.row(rounds.scale, peak.median, format!("rounds {peak}")))
}

fn against(rounds: &Rounds, profile: Profile, theirs: &[Round]) -> anyhow::Result<Vec<Row>> {
    let lines = match profile {
        Profile::Default => [ISTIOD_COLD, ISTIOD_CPU, ISTIOD_ENDPOINT, ISTIOD_CHURN, ISTIOD_MEMORY],
        Profile::Tuned => [TUNED_COLD, TUNED_CPU, TUNED_ENDPOINT, TUNED_CHURN, TUNED_MEMORY],
    };
    let figures: [(Figure, &str); 5] = [
        (|round| round.cold, "s"),
        (|round| round.cold_cpu, "s"),
        (|round| median(&round.alone).unwrap_or(f64::NAN), "s"),
        (|round| percentile(&round.churn, 50), "s"),
        (|round| round.peak, "MB"),
    ];
    let row = |(line, (figure, unit)): (Line, (Figure, &str))| {
        let ratio = ratios(theirs, &rounds.ours, figure, figure)?;
        let note = format!("rounds {ratio}; istiod {:.3} {unit}", middle(theirs, figure)?);
        Ok(line.row(rounds.scale, ratio.median, note))
    };
    lines.into_iter().zip(figures).map(row).collect()
}

/// Of rounds of the same number, the one's figure over the other's.
fn ratios<A, B>(
    ones: &[A],
    others: &[B],
    one: impl Fn(&A) -> f64,
    other: impl Fn(&B) -> f64,
) -> anyhow::Result<Spread> {
    let all: Vec<f64> = ones.iter().zip(others).map(|(a, b)| one(a) / other(b)).collect();
    Spread::of(&all).context("nothing was measured")
}

fn middle<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> anyhow::Result<f64> {
    median(&rounds.iter().map(figure).collect::<Vec<_>>()).context("nothing was measured")
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
