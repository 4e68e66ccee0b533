//! Row g: 300 clients that know nothing, until each has everything.

use super::{
    Measured, RowId,
    edits::Edits,
    staging::{LONG, Stage, record},
    subject::Subject,
    verdict,
};
use tombolo_bench::{
    fixture::Mesh,
    floor::Floor,
    generator::{Settled, Transcript},
    report::Pairs,
};

const MESH: Mesh = Mesh { services: 3000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 300;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let transcript = transcript(&stage)?;
    let bytes = transcript.len();
    let floor = Floor::start(transcript)?;
    let ours = || {
        // A new one each time: it has served nobody yet, and translates for the first that come.
        let subject = Subject::start(MESH.manifests())?;
        let mut clients = stage.generator()?;
        let settled = clients.connect(subject.address(), CLIENTS, MESH.namespaces, LONG)?;
        verdict::check(&mut clients, &subject, MESH, &Edits::new(MESH))?;
        anyhow::Ok(seconds(settled))
    };
    let base = || {
        let settled = stage.generator()?.connect(floor.address(), CLIENTS, MESH.namespaces, LONG)?;
        Ok(seconds(settled))
    };
    let pairs = Pairs::measure(Pairs::LEAST, ours, base)?;
    let (Some(ratio), Some(ours), Some(base)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let megabytes = bytes as f64 / 1e6;
    let note =
        format!("pairs {ratio}; ours {:.2} s, floor {:.2} s, {megabytes:.1} MB a client", ours.median, base.median);
    Ok(RowId::G.row("cold start of 300 clients of 3,000 services, over the floor", ratio.median, note).into())
}

fn transcript(stage: &Stage) -> anyhow::Result<Transcript> {
    let subject = Subject::start(MESH.manifests())?;
    record(&mut stage.generator()?, |first| {
        first.connect(subject.address(), 1, MESH.namespaces, LONG)?;
        Ok(())
    })
}

/// From the first connect to the last acknowledgement.
fn seconds(settled: Settled) -> f64 {
    settled.last_request.since(settled.first_connect).as_secs_f64()
}
