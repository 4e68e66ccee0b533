//! Services of every origin, in one registry: who they are, who sees them, where they run.

mod cluster;
mod endpoints;
mod entry_status;
mod exposure;
mod gather;
mod in_scope;
mod merge;
mod owner;
mod prefer;
mod protocol;
mod service;
mod settings;
mod sidecar;
#[cfg(test)]
mod tests;
mod variant;
mod workload;

pub use cluster::Cluster;
pub use endpoints::{Assigned, Assignment};
pub use entry_status::EntryStatus;
pub use in_scope::InScope;
pub use service::{Clash, Definition, Export, HostRow, Service, ServicePort, Source};
pub use settings::{Mesh, settings};
pub(crate) use sidecar::virtual_host;
pub use sidecar::{AddressListener, SidecarNamespace};
pub use variant::{Variant, scopes};
pub use workload::{Workload, WorkloadRow};
