//! MeshInstallation: one mesh, its control planes and its settings.

mod validate;

use super::{
    CertificateAuthority, Discovery, MeshSettings, Update, VirtualMachines,
    schema::{MOST_IMAGE, NAME, SUBDOMAIN, no_scheme},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// `MeshInstallationSpec`: what the operator makes of a mesh, and what every control plane of it is made of.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshInstallation {
    /// The namespace of the control planes; `tombolo-system` where absent.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Arc<str>,
    /// The version of the control plane to run, as in `0.1.0`; the operator's own where absent. A change starts an update.
    #[schemars(regex(pattern = r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(-[0-9A-Za-z.-]+)?$"))]
    pub version: Option<Arc<str>>,
    /// Where images come from.
    pub images: Images,
    /// What every revision of the mesh is made of. A change starts an update.
    pub mesh: MeshSettings,
    /// How control planes are run.
    pub discovery: Discovery,
    /// Who signs the identities of workloads.
    pub ca: CertificateAuthority,
    /// How machines outside Kubernetes join.
    pub virtual_machines: VirtualMachines,
    /// How a new version or new settings take over.
    pub update: Update,
    /// What a deletion of the installation does while proxies are connected; `Delete` where absent. `RefuseWhileConnected` holds for
    /// deletions in the background, kubectl's default: in one in the foreground (`--cascade=foreground`, Argo CD's default) Kubernetes
    /// deletes what the installation made first, whoever refuses.
    pub deletion_policy: DeletionPolicy,
}

impl Default for MeshInstallation {
    fn default() -> Self {
        Self {
            namespace: "tombolo-system".into(),
            version: None,
            images: Images::default(),
            mesh: MeshSettings::default(),
            discovery: Discovery::default(),
            ca: CertificateAuthority::default(),
            virtual_machines: VirtualMachines::default(),
            update: Update::default(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Images {
    /// Host and path before the names of Tombolo's images; the operator's own where absent.
    #[schemars(length(min = 1, max = MOST_IMAGE), regex(pattern = NAME), extend("x-kubernetes-validations" = no_scheme()))]
    pub registry: Option<Arc<str>>,
    /// When images are pulled; `IfNotPresent` where absent.
    pub pull_policy: PullPolicy,
    /// Secrets that open the registry, by name. Control planes use those of the installation's namespace, a Gateway's pods those of
    /// the Gateway's: nobody copies them, so they must be in each of these namespaces.
    #[schemars(inner(length(min = 1, max = 253), regex(pattern = SUBDOMAIN)))]
    pub pull_secrets: Vec<Arc<str>>,
    /// The image of gateways' Envoys, in full; the one that the version was tested with where absent.
    #[schemars(length(min = 1, max = MOST_IMAGE), regex(pattern = NAME), extend("x-kubernetes-validations" = no_scheme()))]
    pub proxy: Option<Arc<str>>,
}

/// When images are pulled, in Kubernetes' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Where the node has none.
    #[default]
    IfNotPresent,
    /// At each start.
    Always,
    /// By somebody else.
    Never,
}

/// What a deletion of the installation does while proxies are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The control planes go at once; proxies keep what they have.
    #[default]
    Delete,
    /// The control planes stay until no proxy is connected to them, unless the deletion is one in the foreground.
    RefuseWhileConnected,
}
