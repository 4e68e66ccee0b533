//! What the pods of all gateways have in common.

use std::sync::Arc;
use tombolo_api::mesh::{MeshInstallation, PullPolicy};

/// Where images are where nobody says otherwise.
const REGISTRY: &str = "ghcr.io/tombolo-mesh";
/// Threads of a gateway's Envoy: what one core and a half keep busy, whatever the node's size.
const CONCURRENCY: u32 = 2;

/// Which control plane this is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The installation's namespace.
    pub(crate) namespace: String,
    /// The revision.
    pub(crate) revision: String,
}

/// What the pods of all gateways have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where the control plane is: `HOST:PORT`.
    pub(crate) discovery: String,
    /// The revision that gateways belong to.
    pub(crate) revision: String,
    /// The image of agent and Envoy.
    pub(crate) image: String,
    /// When it is pulled.
    pub(crate) pull_policy: &'static str,
    /// Secrets of a Gateway's own namespace that open the registry.
    pub(crate) pull_secrets: Vec<Arc<str>>,
    /// Of the identities.
    pub(crate) trust_domain: String,
    /// The cluster's name; empty where it has none.
    pub(crate) cluster: String,
    /// Threads that serve.
    pub(crate) concurrency: u32,
}

impl Settings {
    /// Those of an installation, or the defaults where there is none.
    pub(crate) fn of(installation: Option<&MeshInstallation>, place: &Place) -> Self {
        let defaults = MeshInstallation::default();
        let MeshInstallation { images, mesh, .. } = installation.unwrap_or(&defaults);
        let registry = images.registry.as_deref().unwrap_or(REGISTRY).trim_end_matches('/');
        let image = || format!("{registry}/tombolo-proxy:{}", env!("CARGO_PKG_VERSION"));
        Self {
            discovery: format!("tombolo-discovery.{}.svc:15012", place.namespace),
            revision: place.revision.clone(),
            image: images.proxy.as_deref().map_or_else(image, str::to_owned),
            pull_policy: match images.pull_policy {
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Always => "Always",
                PullPolicy::Never => "Never",
            },
            pull_secrets: images.pull_secrets.clone(),
            trust_domain: mesh.trust_domain.to_string(),
            cluster: mesh.cluster.to_string(),
            concurrency: CONCURRENCY,
        }
    }
}
