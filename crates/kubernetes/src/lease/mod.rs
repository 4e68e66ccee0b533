//! Leader election over a `coordination.k8s.io/v1` Lease: one of several replicas does a duty.
//!
//! The holder renews; whoever waits takes over once the Lease has not changed for as long as it is good for, **as seen by its
//! own clock**: times that others wrote are never compared with, so clocks may differ. A holder that cannot renew stops before
//! others may take over, and one that shuts down gives the Lease back, so that it is handed over and not waited for.
//!
//! A Lease keeps two replicas from doing the same work; it does not make a late write impossible. Writes that must not be
//! done twice name the `resourceVersion` that they are based on.

mod decide;
mod task;

pub use decide::{Action, Observation, decide};
pub use task::{Lease, LeaseTask};

use std::time::Duration;

/// The times of an election. The defaults are those of Kubernetes' own components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long a Lease is good for that is not renewed, as written into it. 15 s by default; whole seconds.
    pub duration: Duration,
    /// Whoever could not renew for so long stops: less than `duration`. 10 s by default.
    pub renew: Duration,
    /// Between two renewals, and between two looks of those who wait. 2 s by default.
    pub retry: Duration,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew: seconds(10), retry: seconds(2) }
    }
}
