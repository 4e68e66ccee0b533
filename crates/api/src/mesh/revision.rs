//! MeshRevision: one generation of the control plane.

use super::{CertificateAuthority, Condition, Discovery, Images, MeshSettings, VirtualMachines};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `MeshRevisionSpec`: one control plane, taken from the MeshInstallation that made it. People read it and do not write it.
///
/// Its fields are those of the installation, so that the same checks hold for it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshRevision {
    /// The version of the control plane.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"))]
    pub version: Arc<str>,
    /// Where the control plane runs.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        extend("x-kubernetes-validations" = [{
            "rule": "self == oldSelf",
            "message": "a control plane does not move: make another revision",
        }])
    )]
    pub namespace: Arc<str>,
    /// Where images come from.
    pub images: Images,
    /// What the control plane is made of.
    pub mesh: MeshSettings,
    /// How it is run.
    pub discovery: Discovery,
    /// Who signs the identities of workloads.
    pub ca: CertificateAuthority,
    /// How machines outside Kubernetes join.
    pub virtual_machines: VirtualMachines,
}

/// `MeshRevisionStatus`, written by the operator, but for what the control plane finds itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshRevisionStatus {
    /// The generation of the spec that this is about.
    pub observed_generation: i64,
    /// `Ready`, `Progressing`, `Degraded` and `InUse`; by the control plane `CertificateAuthorityReady`, `TrustDomainInEffect` and
    /// `RootCertificatePublished`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The version that serves: it differs from the spec's until an update is through.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serving_version: String,
    /// How many replicas there should be.
    pub replicas: u32,
    /// How many serve.
    pub ready_replicas: u32,
}
