//! Limits and times, with the defaults that suit one workload.

use super::{CacheLimits, Resolv, Scope};
use std::time::Duration;

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The workload's place among names.
    pub scope: Scope,
    /// Who is asked for all other names.
    pub resolv: Resolv,
    /// What may be going on at once.
    pub limits: Limits,
    /// How long things may take.
    pub timing: Timing,
}

/// What may be going on at once. Past a limit, what is new waits or fails: what is going on is not disturbed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Questions that name servers are being asked; more are answered with SERVFAIL. Default 512.
    pub forwarding: usize,
    /// TCP connections; more wait to be accepted. Default 64.
    pub connections: usize,
    /// Answers of name servers that are kept.
    pub cache: CacheLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { forwarding: 512, connections: 64, cache: CacheLimits::default() }
    }
}

/// How long things may take.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A name server that does not answer for this long is left to it, and the next one is asked as well. Default 300 ms.
    pub patience: Duration,
    /// Where there is an old answer, it is given after servers did not answer for this long. Default 1.8 s (RFC 8767, section 5).
    pub stale_after: Duration,
    /// A TCP connection on which no whole question comes for this long, or no answer is taken, is closed. Default 10 s.
    pub idle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(300),
            stale_after: Duration::from_millis(1800),
            idle: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// The defaults for a workload of that scope, whose machine has these name servers.
    pub fn new(scope: Scope, resolv: Resolv) -> Self {
        Self { scope, resolv, limits: Limits::default(), timing: Timing::default() }
    }
}
