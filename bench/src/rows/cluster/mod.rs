//! Rows of a cluster: `tombolo-discovery` as a process of its own, that watches a real API server; beside it, where `ISTIOD_BIN` names
//! one, istiod, on the same objects, for the same clients.

mod api_server;
mod floor;
mod peer;
mod round;
mod scale;
mod table;

use super::{Measured, edits::Edits, staging::Stage};
use api_server::{ApiServer, Started};
use floor::{FloorRound, Recorded};
use peer::{Profile, Program};
use round::Round;
use scale::Scale;
use std::env;

/// Where istiod is.
const ISTIOD: &str = "ISTIOD_BIN";

/// All rounds. Those of one number were measured one after the other.
struct Rounds {
    scale: Scale,
    /// Bytes that a client is sent at first.
    first: usize,
    ours: Vec<Round>,
    floor: Vec<FloorRound>,
    /// Of istiod, in each profile; nothing where there is none.
    theirs: Vec<(Profile, Vec<Round>)>,
}

pub(super) fn measure() -> anyhow::Result<Measured> {
    let scale = Scale::read()?;
    let stage = Stage::set()?;
    let api = match ApiServer::start(&stage)? {
        Started::Serving(api) => api,
        Started::Missing(why) => return Ok(table::skipped(scale, &why)),
    };
    api.fill(scale.mesh)?;
    let mut edits = Edits::new(scale.mesh);
    let recorded = Recorded::of(&stage, &api, scale, &mut edits)?;
    let istiod = env::var_os(ISTIOD).filter(|path| !path.is_empty());
    let mut rounds = Rounds {
        scale,
        first: recorded.bytes(),
        ours: Vec::new(),
        floor: Vec::new(),
        theirs: istiod
            .iter()
            .flat_map(|_| [Profile::Default, Profile::Tuned])
            .map(|profile| (profile, Vec::new()))
            .collect(),
    };
    for nth in 0..scale.rounds {
        // One time the one is first, the next time the other.
        if nth % 2 == 1 {
            rounds.floor.push(recorded.measure(&stage, &api, scale, &mut edits)?);
        }
        rounds.ours.push(round::measure(&Program::Discovery, &stage, &api, scale, &mut edits)?);
        if nth % 2 == 0 {
            rounds.floor.push(recorded.measure(&stage, &api, scale, &mut edits)?);
        }
        for (profile, theirs) in &mut rounds.theirs {
            let program = Program::Istiod(istiod.clone().unwrap_or_default().into(), *profile);
            theirs.push(round::measure(&program, &stage, &api, scale, &mut edits)?);
        }
    }
    table::rows(&rounds)
}
