//! Istio's kinds, one schema for v1, v1beta1 and v1alpha3.

mod service_entry;
mod workload_entry;
mod workload_group;

pub use service_entry::{Location, Resolution, ServiceEntry, ServiceEntryPort, WorkloadSelector};
pub use workload_entry::WorkloadEntry;
pub use workload_group::{WorkloadGroup, WorkloadTemplate};

/// The group of Istio's networking kinds.
pub const GROUP: &str = "networking.istio.io";
/// Annotation that says who may see a Service: namespaces, `.` for its own, `*` for all, `~` for none; commas between.
pub const EXPORT_TO_ANNOTATION: &str = "networking.istio.io/exportTo";
/// Annotation of a WorkloadEntry: the WorkloadGroup that it registered from, its template.
pub const GROUP_ANNOTATION: &str = "istio.io/autoRegistrationGroup";
