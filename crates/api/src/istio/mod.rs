//! Istio's kinds, one schema for v1, v1beta1 and v1alpha3.

mod domain;
mod probe;
mod service_entry;
mod workload_entry;
mod workload_group;

pub use domain::Hosts;
pub use probe::{ExecProbe, GrpcProbe, HttpHeader, HttpProbe, ReadinessProbe, TcpProbe};
pub use service_entry::{Location, Resolution, ServiceEntry, ServiceEntryPort, WorkloadSelector};
pub use workload_entry::WorkloadEntry;
pub use workload_group::{WorkloadGroup, WorkloadTemplate};

use crate::{Metadata, Report};
use tombolo_core::FieldPath;

/// The group of Istio's networking kinds.
pub const GROUP: &str = "networking.istio.io";
/// Annotation that says who may see a Service: namespaces, `.` for its own, `*` for all, `~` for none; commas between.
pub const EXPORT_TO_ANNOTATION: &str = "networking.istio.io/exportTo";
/// Annotation of a WorkloadEntry: the WorkloadGroup that it registered from, its template.
pub const GROUP_ANNOTATION: &str = "istio.io/autoRegistrationGroup";
/// Label of a ServiceEntry: `false` keeps it from being given addresses where it has none.
pub const AUTO_ALLOCATE_LABEL: &str = "networking.istio.io/enable-autoallocate-ip";
/// Label of a workload: how its proxy is spoken to. [`MUTUAL_TLS`] where it takes the mesh's mutual TLS.
pub const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";
/// The value of [`TLS_MODE_LABEL`] of workloads with a proxy that takes the mesh's mutual TLS.
pub const MUTUAL_TLS: &str = "istio";
/// Annotation that only AuthorizationPolicies may have.
const DRY_RUN_ANNOTATION: &str = "istio.io/dry-run";

/// What Istio refuses in the metadata of each of its kinds here.
fn check_metadata(metadata: &Metadata, report: &mut Report) {
    if metadata.annotation(DRY_RUN_ANNOTATION).is_some() {
        let field = FieldPath::from("metadata.annotations").key(DRY_RUN_ANNOTATION);
        let message = "only AuthorizationPolicies can be tried without effect";
        report.error(field, "InvalidValue", message, "remove the annotation");
    }
}
