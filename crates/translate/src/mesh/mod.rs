//! Services of every origin, in one registry: who they are, who sees them, where they run.

mod address;
mod address_listener;
mod allocate;
mod claims;
mod cluster;
mod endpoints;
mod entry_status;
mod exposure;
mod gather;
mod health;
mod http_proxy;
mod in_scope;
mod local;
mod merge;
mod names;
mod owner;
mod prefer;
mod protocol;
mod service;
mod settings;
mod sidecar;
#[cfg(test)]
mod tests;
mod trust;
mod variant;
mod workload;

pub(crate) use address_listener::AddressListener;
pub use allocate::{Allocation, AutoAddress};
pub(crate) use cluster::Cluster;
pub(crate) use endpoints::Assignment;
pub(crate) use entry_status::EntryStatus;
pub use health::Verdict;
pub(crate) use health::WorkloadStatus;
pub(crate) use http_proxy::proxied_hosts;
pub(crate) use in_scope::InScope;
pub use local::{Local, LocalRow};
pub(crate) use names::HeadlessName;
pub(crate) use service::{Clash, Definition, Export, HostRow, Service, ServicePort, Source};
pub(crate) use settings::{Mesh, settings};
pub(crate) use sidecar::virtual_host;
pub(crate) use sidecar::{SidecarNamespace, Sidecars};
pub(crate) use trust::Trust;
pub use variant::{Interception, Variant, scopes};
pub use workload::{Workload, WorkloadRow};
