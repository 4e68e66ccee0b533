//! What it is started with.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Installs and upgrades Tombolo's control planes: reconciles MeshInstallations.
#[derive(Debug, Parser)]
#[command(name = "tombolo-operator", version)]
pub(crate) struct Args {
    /// Where the API server is and who calls it; in a pod, its ServiceAccount, else $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The namespace of the operator: its Lease is kept there.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "tombolo-system")]
    pub(crate) namespace: String,

    /// Where control planes may be installed, besides the operator's own namespace: where it has a Role.
    #[arg(long = "mesh-namespace", value_name = "NAME")]
    pub(crate) mesh_namespaces: Vec<String>,

    /// Which replica of the operator this is.
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value = "tombolo-operator")]
    pub(crate) identity: String,

    /// Host and path before the names of Tombolo's images, where an installation names none.
    #[arg(long, value_name = "HOST/PATH", default_value = "ghcr.io/tombolo-mesh")]
    pub(crate) registry: String,

    /// Metrics, and readiness: `/readyz`.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    pub(crate) listen: SocketAddr,
}
