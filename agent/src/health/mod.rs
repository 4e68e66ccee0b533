//! Whether the workload answers: probes with the semantics of Kubernetes.
//!
//! A probe is tried once a period. What thresholds make of its outcomes is the verdict; together with what holds the proxy back it is
//! the [`Report`]. Reports are numbered and kept on disk, so that a number never comes again, whatever happens to the agent.

mod exec;
mod grpc;
mod http;
mod judge;
mod memory;
mod metrics;
mod probe;
mod prober;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

pub use memory::{Memory, MemoryError};
pub use metrics::register;
pub use probe::{Action, Exec, Grpc, Header, HttpGet, Probe, Scheme, TcpSocket, Timing};
pub use prober::Prober;

use serde::{Deserialize, Serialize};

/// Whether a workload may be sent traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why not, if it may not.
    pub healthy: Result<(), String>,
    /// Grows by one whenever `healthy` turns; never goes back, on a machine. 0 before the first verdict.
    pub sequence: u64,
}
