//! Rows ca-token and ca-certificate: certificates by kept connections, against the cryptography that one takes.

mod bare;
mod caller;

pub(super) use caller::{obtain, secure};

use super::{
    Measured, RowId,
    secured::{Held, Secured},
};
use bare::Bare;
use caller::Caller;
use std::time::Duration;
use tombolo_bench::{
    clock::{cpu_of_others, thread_cpu_time},
    fixture::Mesh,
    machine,
    report::Pairs,
};

/// What the workload is found among.
const MESH: Mesh = Mesh { services: 100, endpoints: 1, namespaces: 1 };
/// Connections, each with one request at a time: an agent has no more.
const CONNECTIONS: usize = 32;
/// Certificates of one measurement.
const CERTIFICATES: usize = 3200;

/// By what agents prove who they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// A ServiceAccount token.
    Token,
    /// The certificate of the connection.
    Certificate,
}

pub(super) fn measure(row: RowId, proof: Proof) -> anyhow::Result<Measured> {
    // Server, clients and the bare loop all on one CPU: clients on the other thread of its core would slow the server down, and
    // there are none that would slow the loop down.
    machine::cpus()?.first().copied().map_or(Ok(()), machine::pin)?;
    let secured = Secured::start(MESH)?;
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let held = clients.block_on(obtain(&secured))?;
    let token = secured.token()?;
    let (shown, said) = match proof {
        Proof::Token => (None, Some(token.as_str())),
        Proof::Certificate => (Some(&held), None),
    };
    let callers = clients.block_on(connect(&secured, shown, said))?;
    let bare = Bare::new(&secured, &held, token.clone())?;
    let pairs = Pairs::measure(
        Pairs::LEAST,
        || {
            let (issued, took) = cpu_of_others(|| clients.block_on(ask(&callers)));
            issued.map(|()| rate(took))
        },
        || bare.repeat(proof, CERTIFICATES).map(rate),
    )?;
    let (Some(ratio), Some(ours), Some(floor)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let by = if proof == Proof::Token { "token" } else { "certificate" };
    let title = format!("certificates by {by} per second of server CPU, over the bare cryptography");
    let note = format!("pairs {ratio}; ours {:.0}/s, bare {:.0}/s", ours.median, floor.median);
    Ok(row.row(&title, ratio.median, note).into())
}

fn rate(took: Duration) -> f64 {
    CERTIFICATES as f64 / took.as_secs_f64()
}

async fn connect(secured: &Secured, held: Option<&Held>, token: Option<&str>) -> anyhow::Result<Vec<Caller>> {
    let config = secured.client(held)?;
    let mut callers = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        callers.push(Caller::connect(secured.address, config.clone(), token).await?);
    }
    Ok(callers)
}

/// All at once, each its share one after the other.
async fn ask(callers: &[Caller]) -> anyhow::Result<()> {
    let mut asking = tokio::task::JoinSet::new();
    for caller in callers {
        let caller = caller.clone();
        asking.spawn(async move {
            for _ in 0..CERTIFICATES / CONNECTIONS {
                caller.ask().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    Ok(())
}

fn timed(mut act: impl FnMut() -> anyhow::Result<()>, times: usize) -> anyhow::Result<Duration> {
    let start = thread_cpu_time();
    for _ in 0..times {
        act()?;
    }
    Ok(thread_cpu_time() - start)
}
