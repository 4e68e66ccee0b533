//! What agents say of their workloads' health, on the stream that their config comes by.

use crate::{Peer, Refusal};
use std::{future::Future, pin::Pin};

/// The most that is kept of a reason, in bytes.
const LONGEST_REASON: usize = 1024;

/// A health report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Counts up per instance of an agent; `None` from agents that number nothing, whose word always counts.
    pub sequence: Option<u64>,
    /// Healthy, or why not. Long reasons are cut.
    pub healthy: Result<(), String>,
}

/// What [`TakeHealth::take`] returns.
pub type TakingHealth = Pin<Box<dyn Future<Output = Result<Option<u64>, Refusal>> + Send>>;

/// Takes health reports. The port that the control plane implements.
pub trait TakeHealth: Send + Sync + 'static {
    /// Called for each report of a stream that was let in, one after the other, with the id of its node and what its caller proved.
    /// Resolves once the report is taken in, or passed over, to the number of the newest report of this instance that counts: it is
    /// acknowledged. `None`: nothing counts, and nothing is acknowledged. An error ends the stream.
    fn take(&self, node: &str, peer: Option<&Peer>, report: Health) -> TakingHealth;
}

/// Nobody listens.
pub(crate) struct Unheard;

impl TakeHealth for Unheard {
    fn take(&self, _: &str, _: Option<&Peer>, _: Health) -> TakingHealth {
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl Health {
    pub(crate) fn new(sequence: Option<u64>, error: Option<String>) -> Self {
        let healthy = error.map_or(Ok(()), |mut reason| {
            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
            Err(reason)
        });
        Self { sequence, healthy }
    }
}
