//! What it is started with.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// One revision's control plane: watches the API server, and tells proxies what to do.
#[derive(Debug, Parser)]
#[command(name = "tombolo-discovery", version)]
pub(crate) struct Args {
    /// Where the API server is and who calls it; in a pod, its ServiceAccount, else $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The namespace of the installation: its root certificate is kept there.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "tombolo-system")]
    pub(crate) namespace: String,

    /// Who this replica is among those that stand for a duty: unique. A random name where absent.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) identity: Option<String>,

    /// The revision that this is a control plane of.
    #[arg(long, value_name = "NAME", env = "REVISION", default_value = "default")]
    pub(crate) revision: String,

    /// The settings of this revision: a MeshInstallation in YAML. The defaults where absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,

    /// This cluster's name, as in the keys of its objects.
    #[arg(long, value_name = "NAME", default_value = "Kubernetes")]
    pub(crate) cluster: String,

    /// Serve agents here, over TLS: configuration and certificates. [::]:15012 where neither this nor --plaintext is given.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,

    /// Another name that agents know this server by, besides tombolo-discovery, tombolo-discovery-REVISION and istiod in its
    /// namespace; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Vec<String>,

    /// Serve proxies without TLS here, and ask nobody who he is: for measuring on one machine. Loopback only. Nothing is written to
    /// the cluster then, whatever the kubeconfig allows: no status, no gateway's objects, no root, and no Lease is stood for.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) plaintext: Option<SocketAddr>,

    /// Answer the API server's admission reviews with the certificate in this directory: tls.crt and tls.key, read again when
    /// they change. They need not be there yet. No reviews are answered where absent.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) webhook_certificate: Option<PathBuf>,

    /// Where reviews are answered, over TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15017")]
    pub(crate) webhook: SocketAddr,

    /// Metrics and debug pages.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15014")]
    pub(crate) monitoring: SocketAddr,

    /// Readiness: `/ready`.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    pub(crate) health: SocketAddr,
}

impl Args {
    /// Whether it writes to the cluster at all. Gateways that cannot connect are not to be deployed, and a plaintext port is open to this
    /// machine alone.
    pub(crate) fn writes(&self) -> bool {
        self.plaintext.is_none()
    }

    /// Where agents are served.
    pub(crate) fn secure(&self) -> Option<SocketAddr> {
        let default = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 15012));
        self.listen.or_else(|| self.plaintext.is_none().then_some(default))
    }
}
