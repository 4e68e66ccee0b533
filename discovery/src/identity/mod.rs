//! Identity in a cluster: who calls, by the API server's tokens; the root, in a Secret; and the port that asks.
//!
//! ```text
//! Secret tombolo-ca ──► KubeStore ──► Identity ──► TLS port, certificates
//! Secret cacerts ─────► Settings ───────┘  ▲
//! JWKS, or TokenReview ─► issuer ──────────┤
//! Pods, ServiceAccounts ─► InCluster ──────┘
//! ```

mod exists;
mod issuer;
mod names;
mod present;
mod publish;
mod settings;
mod store;
mod version;

pub(crate) use publish::Publisher;
pub(crate) use settings::Settings;

use crate::metrics::WatchMetrics;
use anyhow::Context;
use exists::InCluster;
use kube::Client;
use std::{net::SocketAddr, sync::Arc};
use store::KubeStore;
use tokio::sync::watch;
use tombolo_api::mesh::MeshInstallation;
use tombolo_ca::RotationPolicy;
use tombolo_controlplane::{ControlPlane, Identity, IdentitySetup, ProvidedFiles, SystemClock, World};
use tombolo_core::TrustDomain;

/// The Secret that the root is kept in.
const ROOT: &str = "tombolo-ca";

/// What the identity service of a cluster starts from.
pub(crate) struct Start {
    /// How the cluster is asked.
    pub(crate) client: Client,
    /// Of the installation.
    pub(crate) namespace: String,
    /// Which control plane this is.
    pub(crate) revision: String,
    /// Names of the server besides those that every control plane has.
    pub(crate) names: Vec<String>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whether it is this replica that writes.
    pub(crate) writer: watch::Receiver<bool>,
    /// How its watches are counted.
    pub(crate) watches: WatchMetrics,
}

impl Start {
    /// Waits until everything was read, and until there is a root; then certificates can be asked for.
    ///
    /// # Errors
    /// What waiting would not help against: settings and Secrets that cannot be used.
    pub(crate) async fn run(self, plane: &ControlPlane) -> anyhow::Result<Identity> {
        let Self { client, namespace, revision, names, address, writer, watches } = self;
        plane.ready().await;
        let (installation, provided) = plane.ask(|world| (installation(world), ProvidedFiles::of(world))).await?;
        let trust_domain = TrustDomain::parse(&installation.mesh.trust_domain).context("spec.mesh.trustDomain")?;
        let exists = InCluster::start(plane.clone(), client.clone(), &watches).await;
        let tokens = vec![issuer::open(&client, &trust_domain).await];
        let store = KubeStore::open(client, &namespace, ROOT, writer, &watches).await?;
        let (settings, rotation) = periods(&installation, trust_domain);
        let setup = IdentitySetup {
            settings,
            rotation,
            names: names::of(&namespace, &revision, names, address.ip()),
            provided,
            tokens,
            exists: Arc::new(exists),
            store,
            clock: Arc::new(SystemClock),
        };
        Ok(Identity::start(plane, setup).await?)
    }
}

fn periods(installation: &MeshInstallation, domain: TrustDomain) -> (tombolo_ca::Settings, RotationPolicy) {
    let lifetime = installation.ca.workload_cert_ttl.get();
    let settings = tombolo_ca::Settings {
        default_lifetime: lifetime,
        max_lifetime: lifetime,
        rejoin_window: installation.virtual_machines.rejoin_window.get(),
        ..tombolo_ca::Settings::new(domain)
    };
    let overlap = installation.ca.root_rotation.overlap.get();
    (settings, RotationPolicy { announce: lifetime, overlap, ..RotationPolicy::default() })
}

/// The MeshInstallation that counts; the defaults where there is none.
fn installation(world: &World) -> MeshInstallation {
    world.installation().map(|object| object.spec.clone()).unwrap_or_default()
}
