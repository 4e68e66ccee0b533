//! What people see of a config stream.

use serde::Serialize;
use std::time::SystemTime;

/// A config stream at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// A stream to the control plane is open.
    pub connected: bool,
    /// ... and the control plane has said all that differs.
    pub current: bool,
    /// Another stream is about to replace it.
    pub replacing: bool,
    /// Envoy's stream is open.
    pub envoy: bool,
    /// Seconds since the config was last known to be what the control plane wants. 0 while it is; `None` if it never was.
    pub config_age_seconds: Option<f64>,
    /// Resources that are kept.
    pub cached_resources: usize,
    /// Their bytes, envelopes included.
    pub cached_bytes: usize,
    /// The newest health report that the control plane has acknowledged.
    pub acknowledged_health: Option<u64>,
    /// How often the control plane had to be told anew what is held.
    pub resyncs: u64,
    /// Why there was no stream the last time that there was none.
    pub last_failure: Option<String>,
    /// What was rejected last.
    pub last_rejection: Option<Rejection>,
    /// By type.
    pub types: Vec<TypeStatus>,
}

/// One type's part of a [`Status`].
#[derive(Clone, Debug, Serialize)]
pub struct TypeStatus {
    /// The type's URL.
    pub type_url: String,
    /// Names that are subscribed to; everything counts nothing.
    pub subscribed: usize,
    /// Resources that were accepted, and are kept.
    pub accepted: usize,
    /// Responses that are not answered.
    pub unanswered: usize,
    /// Resources that wait for Envoy.
    pub pending: usize,
}

/// A response that Envoy, or a part of the agent, did not accept.
#[derive(Clone, Debug, Serialize)]
pub struct Rejection {
    /// The type's URL.
    pub type_url: String,
    /// Envoy's words.
    pub message: String,
    /// When.
    pub at: SystemTime,
}
