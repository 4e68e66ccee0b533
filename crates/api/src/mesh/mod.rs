//! Tombolo's own kinds.

mod installation;

pub use installation::{AccessLog, AccessLogFormat, Dns, MeshInstallation, MeshSettings, OutboundTraffic};

/// The group of Tombolo's own kinds.
pub const GROUP: &str = "mesh.tombolo.dev";
