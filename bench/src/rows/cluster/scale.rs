//! How much is measured.

use anyhow::{Context as _, ensure};
use std::env;
use tombolo_bench::{fixture::Mesh, report::Pairs};

const MESH: Mesh = Mesh { services: 3000, endpoints: 5, namespaces: 10 };
const CLIENTS: usize = 300;
/// For quick tries: a part of everything, in one round.
const VARIABLE: &str = "BENCH_SCALE";

/// Of what size the mesh is, who is connected, and how often that is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) mesh: Mesh,
    pub(super) clients: usize,
    pub(super) rounds: usize,
}

impl Scale {
    /// The whole, unless `BENCH_SCALE` asks for a part of it.
    pub(super) fn read() -> anyhow::Result<Self> {
        let whole = Self { mesh: MESH, clients: CLIENTS, rounds: Pairs::LEAST };
        let Ok(text) = env::var(VARIABLE) else { return Ok(whole) };
        let part: f64 = text.parse().with_context(|| format!("{VARIABLE}={text} is no number"))?;
        ensure!(part > 0.0 && part <= 1.0, "{VARIABLE}={text}: say more than 0 and at most 1");
        let of = |whole: usize| ((whole as f64 * part) as usize).max(MESH.namespaces);
        Ok(Self { mesh: Mesh { services: of(MESH.services), ..MESH }, clients: of(CLIENTS), rounds: 1 })
    }
}

/// For people.
impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} clients of {} services in an API server", self.clients, self.mesh.services)
    }
}
