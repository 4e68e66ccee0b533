//! What the operator reports of a mesh.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `MeshInstallationStatus`, written by the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshInstallationStatus {
    /// The generation of the spec that this is about.
    pub observed_generation: i64,
    /// `Ready`, `Progressing` and `Degraded`; `Definitions`, `GatewayAPI` and `SettingsInEffect`; `CertificateAuthorityReady`,
    /// `TrustDomainInEffect` and `RootCertificatePublished`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The revision that most proxies are bound to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active_revision: String,
    /// The update that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Every revision that runs.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub revisions: Vec<RevisionStatus>,
}

/// `metav1.Condition`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[schemars(length(max = 316))]
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// One word in CamelCase.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// For people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When `status` changed last, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the spec that it is about.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
}

/// An update that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RolloutStatus {
    /// What it is doing, in one word.
    pub phase: String,
    /// Which of the steps, from 0.
    pub step: u32,
    /// The share of proxies on the new revision, in percent.
    pub weight: u32,
    /// For people.
    pub message: String,
}

/// One revision that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionStatus {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Whether it serves.
    #[serde(default)]
    pub ready: bool,
    /// How many proxies are connected to it: counted every 20 seconds, and as counted last while a replica does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyCounts>,
}

/// How many proxies of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyCounts {
    /// Envoys of gateways.
    pub gateways: u32,
    /// Envoys beside pods, and others that connections are redirected to.
    pub sidecars: u32,
    /// Envoys on machines outside Kubernetes, where no connections are redirected.
    pub virtual_machines: u32,
}
