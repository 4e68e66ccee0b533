//! Tombolo's own kinds.

mod amount;
mod ca;
mod discovery;
mod installation;
mod period;
mod revision;
mod schema;
mod settings;
mod status;
mod tag;
mod update;
mod virtual_machines;

pub use amount::{Amount, Percent};
pub use ca::{CertificateAuthority, KubernetesSigner, RootRotation, SecretReference, SelfSigned, Signer};
pub use discovery::{Autoscaling, Discovery, Quantity, Resources};
pub use installation::{DeletionPolicy, Images, MeshInstallation, PullPolicy};
pub use period::{Period, PeriodError};
pub use revision::{MeshRevision, MeshRevisionStatus};
pub use settings::{AccessLog, AccessLogFormat, Dns, GatewaySettings, MeshSettings, Mtls, MtlsMode, OutboundTraffic};
pub use status::{Condition, MeshInstallationStatus, ProxyCounts, RevisionStatus, RolloutStatus};
pub use tag::{MeshRevisionTag, MeshRevisionTagStatus, TagTarget};
pub use update::{Analysis, Canary, Gate, GateMode, Rollback, Step, Strategy, Update};
pub use virtual_machines::VirtualMachines;

/// The group of Tombolo's own kinds.
pub const GROUP: &str = "mesh.tombolo.dev";
/// A condition: whether what is to sign certificates does.
pub const CERTIFICATE_AUTHORITY_READY: &str = "CertificateAuthorityReady";
/// A condition: whether identities are of the trust domain that is to be.
pub const TRUST_DOMAIN_IN_EFFECT: &str = "TrustDomainInEffect";
/// A condition: whether every namespace has the root certificates, where agents read them.
pub const ROOT_CERTIFICATE_PUBLISHED: &str = "RootCertificatePublished";
/// The conditions that a control plane finds itself. In a cluster it writes them in the status of its MeshRevision.
pub const FOUND_BY_CONTROL_PLANE: [&str; 3] =
    [CERTIFICATE_AUTHORITY_READY, TRUST_DOMAIN_IN_EFFECT, ROOT_CERTIFICATE_PUBLISHED];
/// Annotation of a WorkloadEntry, or of a WorkloadGroup for all of its entries: where the workload's agent runs.
pub const AGENT_ANNOTATION: &str = "mesh.tombolo.dev/agent";
/// The value of [`AGENT_ANNOTATION`] for an agent beside the control plane, on one machine with it.
pub const LOCAL_AGENT: &str = "local";
/// On a WorkloadEntry or a WorkloadGroup: ids of instances, separated by commas, that may neither renew their certificate nor connect.
pub const REVOKED_ANNOTATION: &str = "mesh.tombolo.dev/revoked-instances";
/// The value of [`AGENT_ANNOTATION`] for no agent, whatever the WorkloadGroup says.
pub const NO_AGENT: &str = "none";
