//! Row e: how much memory each connected client takes.

use super::{
    Measured, RowId,
    staging::{LONG, Stage, record},
    subject::Subject,
};
use crate::runner;
use clap::ValueEnum;
use std::{net::SocketAddr, process};
use tombolo_bench::{
    fixture::Mesh,
    floor::Floor,
    machine,
    report::{Pairs, slope},
};

const MESH: Mesh = Mesh { services: 1000, endpoints: 5, namespaces: 10 };
/// Clients in all when memory is looked at.
const STEPS: [usize; 3] = [100, 300, 1000];
/// Pages that the allocator would give back in a few seconds are given back at once: what is looked at is what is in use.
const ALLOCATOR: (&str, &str) = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0");

/// Whose memory is looked at.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MemorySubject {
    /// The control plane's.
    Plane,
    /// The floor's.
    Floor,
}

pub(super) fn measure() -> anyhow::Result<Measured> {
    let pairs = Pairs::measure(Pairs::LEAST, || per_client("plane"), || per_client("floor"))?;
    let (Some(ours), Some(floor)) = (pairs.measured(), pairs.floor()) else { anyhow::bail!("no memory was measured") };
    let note = format!("samples {ours}; floor {:.1} kB", floor.median);
    let title = "memory per connected client, 1,000 services: slope of RSS over 100, 300, 1,000";
    Ok(RowId::E.row(title, ours.median, note).into())
}

/// Kilobytes (1,000 bytes), in a process of their own.
fn per_client(subject: &str) -> anyhow::Result<f64> {
    let points: Vec<(f64, f64)> = runner::child(&["sample", subject], &[ALLOCATOR])?;
    Ok(slope(&points)?.slope / 1e3)
}

/// Clients, and resident bytes of this process, which must be a new one.
pub(crate) fn sample(subject: MemorySubject) -> anyhow::Result<Vec<(f64, f64)>> {
    let stage = Stage::set()?;
    let plane = Subject::start(MESH.manifests())?;
    match subject {
        MemorySubject::Plane => steps(&stage, plane.address()),
        MemorySubject::Floor => {
            let mut first = stage.generator()?;
            let transcript = record(&mut first, |first| {
                first.connect(plane.address(), 1, MESH.namespaces, LONG)?;
                Ok(())
            })?;
            drop((first, plane));
            steps(&stage, Floor::start(transcript)?.address())
        }
    }
}

fn steps(stage: &Stage, address: SocketAddr) -> anyhow::Result<Vec<(f64, f64)>> {
    let (mut clients, mut points, mut connected) = (stage.generator()?, Vec::new(), 0);
    for step in STEPS {
        clients.connect(address, step - connected, MESH.namespaces, LONG)?;
        connected = step;
        points.push((step as f64, machine::resident(process::id())?.rss as f64));
    }
    Ok(points)
}
