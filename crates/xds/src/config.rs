//! Limits and times, with the defaults that suit 20,000 services.

use std::time::Duration;

/// All settings of the server.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What a client may ask for.
    pub limits: Limits,
    /// How long things may take.
    pub timing: Timing,
}

/// What a client may ask for. Past a limit its stream ends with `RESOURCE_EXHAUSTED` and a message that names the limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Streams served at once. Default 20,000.
    pub connections: usize,
    /// Names that one stream may subscribe to, all types together; a wildcard counts nothing. So many may stand in one request, too, those
    /// that a client says it holds included. Default 200,000.
    pub subscriptions: usize,
    /// Bytes of one request. A reconnecting client lists every name with its version: 20,000 services of two types take about
    /// 5 MB. Default 32 MiB.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 20_000, subscriptions: 200_000, message_bytes: 32 << 20 }
    }
}

/// How long things may take.
#[derive(Clone, Debug)]
pub struct Timing {
    /// While a response of a type is unacknowledged, further changes of that type are gathered, latest wins, for this long at
    /// most. Default 1 s.
    pub coalesce: Duration,
    /// A route or listener that names a cluster that is new to the client waits for the cluster's acknowledgement, which Envoy
    /// gives once it is warm, for this long at most. Default 5 s.
    pub warm: Duration,
    /// A client that takes nothing in for this long while there is something to write is cut. Default 30 s.
    pub stall: Duration,
    /// An idle HTTP/2 connection is pinged this often. Default 30 s.
    pub ping_interval: Duration,
    /// A connection that does not answer a ping for this long is cut. Default 10 s.
    pub ping_timeout: Duration,
    /// On shutdown, streams are ended one after the other, spread over this time. Default 5 s.
    pub drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_secs(1),
            warm: Duration::from_secs(5),
            stall: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}
