//! Services of every origin, in one registry: who they are, who sees them, where they run.

mod cluster;
mod endpoints;
mod entry_status;
mod in_scope;
mod service;
mod settings;
mod sidecar;
mod variant;
mod workload;

pub use cluster::Cluster;
pub use endpoints::{Assigned, Assignment};
pub use entry_status::EntryStatus;
pub use in_scope::InScope;
pub use service::{Definition, Export, HostRow, Service, ServicePort, Source};
pub use settings::{Mesh, settings};
pub(crate) use sidecar::virtual_host;
pub use sidecar::{AddressListener, SidecarNamespace};
pub use variant::Variant;
pub use workload::{Workload, WorkloadRow};
