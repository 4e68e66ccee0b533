//! Who is who: the authority over ports, kept current. Certificates, the port that asks for them, and the roots that the mesh trusts.

mod front;
mod inhabitants;
mod installation;
mod provided;
mod roots;
mod signing;
mod state;
#[cfg(test)]
mod testing;

pub use front::SecureFront;
pub(crate) use inhabitants::revoked_by;
pub use inhabitants::{Inhabitants, directory_uid};
pub use provided::ProvidedFiles;

use crate::{Applied, Clock, ControlPlane, Store, StoreError};
use installation::Follower;
use prometheus_client::registry::Registry;
use roots::Keeping;
use signing::Signing;
use state::By;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};
use tokio_rustls::TlsAcceptor;
use tombolo_api::Kind;
use tombolo_ca::{
    Authority, CaCertsError, CertificateError, CertificateService, Exists, Ports, RootError, RotationPolicy,
    ServerCertificate, ServerError, ServerNames, Settings, TrustedIssuer,
};
use tombolo_translate::engine::{Fact, Relation};

/// How often to look whether a certificate or a root is due.
const LOOK: Duration = Duration::from_secs(5);
/// How often to look whether it is ours to make the root that nobody has made yet.
const WAIT: Duration = Duration::from_millis(500);

/// What an identity service starts from.
pub struct IdentitySetup {
    /// What is issued, and to whom.
    pub settings: Settings,
    /// When roots are rotated, and how long the steps are when another signer takes over: in any case as long as the certificates live
    /// that were issued until now.
    pub rotation: RotationPolicy,
    /// By what names and addresses the server is reached.
    pub names: ServerNames,
    /// An intermediate that is provided now, to sign in place of a root of the mesh's own. Where another signs, it takes over step by
    /// step. A process that has to wait for who begins asks the objects again.
    pub provided: Option<ProvidedFiles>,
    /// Whose tokens count.
    pub tokens: Vec<TrustedIssuer>,
    /// Who still is: [`Inhabitants`] where only the objects say so.
    pub exists: Arc<dyn Exists>,
    /// Where the root is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why there is no identity service.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The root could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Who signs cannot be read.
    #[error("the stored signer cannot be read; restore it from a backup, since another one is trusted by nobody")]
    Signing(#[source] serde_json::Error),
    /// A root to trust cannot be read.
    #[error("a stored root cannot be used: {0}")]
    Roots(#[source] CertificateError),
    /// The provided intermediate cannot be used.
    #[error("{0} (spec.ca.secretRef of the MeshInstallation)")]
    Provided(#[from] CaCertsError),
    /// The server has no certificate.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// TLS cannot be spoken.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A provided intermediate is rotated by whoever provides it.
    #[error("the signing certificate was provided, or is about to be, so it is rotated by providing another")]
    NotOurs,
    /// Another process takes the steps.
    #[error("another replica keeps the root (see the holder of the Lease): ask that one")]
    Follower,
    /// The control plane has stopped.
    #[error("the control plane has stopped")]
    Stopped,
}

/// What the parts share.
struct Mesh {
    authority: Arc<Authority>,
    certificates: CertificateService,
    server: Arc<ServerCertificate>,
    clock: Arc<dyn Clock>,
    /// The roots, PEM, for those who publish them.
    published: watch::Sender<Arc<str>>,
}

/// A running identity service. A handle: clones are the same one.
#[derive(Clone)]
pub struct Identity {
    mesh: Arc<Mesh>,
    front: SecureFront,
    rotations: mpsc::Sender<oneshot::Sender<Result<(), IdentityError>>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("authority", &self.mesh.authority).finish_non_exhaustive()
    }
}

impl Identity {
    /// Opens the roots, tells the control plane what the mesh trusts, and keeps both current until the control plane stops.
    ///
    /// # Errors
    /// [`IdentityError`], each with what to do.
    pub async fn start(plane: &ControlPlane, setup: IdentitySetup) -> Result<Self, IdentityError> {
        let IdentitySetup { settings, rotation, names, provided, tokens, exists, store, clock } = setup;
        let domain = settings.trust_domain.clone();
        let lifetime = settings.max_lifetime;
        let keeping = Keeping { domain: domain.clone(), policy: rotation, lifetime, store, clock: clock.clone() };
        let signing = signing(plane, &keeping, provided).await?;
        let (signer, changes) = (signing.signer(), keeping.store.changes());
        let follower = Follower { domain, said: None };
        let ports = Ports { tokens, exists, signer: signer.clone() };
        let authority = Arc::new(Authority::new(settings, ports));
        let server = Arc::new(ServerCertificate::obtain(&*signer, names, clock.now()).await?);
        let tls = tombolo_ca::server_config(&authority, server.clone())?;
        let told = clock.clone();
        let certificates = CertificateService::with_clock(authority.clone(), Arc::new(move || told.now()));
        let published = watch::Sender::new(bundle(&authority));
        let mesh = Arc::new(Mesh { authority, certificates, server, clock, published });
        trust(plane, &mesh).await?;
        let (rotations, asked) = mpsc::channel(1);
        let front = SecureFront::new(TlsAcceptor::from(Arc::new(tls)), mesh.clone());
        tokio::spawn(Keeper { plane: plane.clone(), mesh: mesh.clone(), signing, follower, changes }.run(asked));
        Ok(Self { mesh, front, rotations })
    }

    /// What stands in front of ADS on the port that asks who calls.
    pub fn front(&self) -> SecureFront {
        self.front.clone()
    }

    /// The roots that the mesh trusts, PEM.
    pub fn bundle(&self) -> String {
        bundle(&self.mesh.authority).to_string()
    }

    /// The same, now and whenever they change.
    pub fn bundles(&self) -> watch::Receiver<Arc<str>> {
        self.mesh.published.subscribe()
    }

    /// Counts what is issued and refused.
    pub fn register(&self, registry: &mut Registry) {
        self.mesh.authority.telemetry().register(self.mesh.authority.signer(), registry);
    }

    /// Begins a rotation of the root now. It goes on by itself.
    ///
    /// # Errors
    /// Where the root is not the mesh's own, or cannot be kept.
    pub async fn rotate(&self) -> Result<(), IdentityError> {
        let (reply, answer) = oneshot::channel();
        self.rotations.send(reply).await.map_err(|_| IdentityError::Stopped)?;
        answer.await.map_err(|_| IdentityError::Stopped)?
    }
}

/// What signs, once there is anything: whoever may write makes it, of what is provided then.
async fn signing(
    plane: &ControlPlane,
    keeping: &Keeping,
    mut provided: Option<ProvidedFiles>,
) -> Result<Signing, IdentityError> {
    let mut changes = keeping.store.changes();
    loop {
        match Signing::open(keeping, &By::wanted(provided.as_ref())) {
            Ok(Some(signing)) => return Ok(signing),
            Ok(None) | Err(IdentityError::Store(StoreError::Conflict(_))) => {}
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = plane.stopped() => return Err(IdentityError::Stopped),
            () = changed(&mut changes) => {}
            // Writing may have become ours.
            () = tokio::time::sleep(WAIT) => {}
        }
        provided = plane.ask(ProvidedFiles::of).await.map_err(|_| IdentityError::Stopped)?;
    }
}

/// Resolves when somebody else may have written.
async fn changed(changes: &mut Option<watch::Receiver<()>>) {
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn bundle(authority: &Authority) -> Arc<str> {
    authority.bundle().roots().pems().concat().into()
}

/// Tells translation whom the mesh's proxies are to trust.
async fn trust(plane: &ControlPlane, mesh: &Mesh) -> Result<(), IdentityError> {
    let domain = mesh.authority.settings().trust_domain.as_str();
    let roots = bundle(&mesh.authority);
    let facts = vec![Fact::Trust(roots.clone()), Fact::Name(domain.into())];
    plane.replace(Relation::Trust, facts).await.map_err(|_| IdentityError::Stopped)?;
    mesh.published.send_if_modified(|published| std::mem::replace(published, roots.clone()) != roots);
    Ok(())
}

/// Keeps certificates, roots and what the MeshInstallation asks for current.
struct Keeper {
    plane: ControlPlane,
    mesh: Arc<Mesh>,
    signing: Signing,
    follower: Follower,
    /// Of the store, by others.
    changes: Option<watch::Receiver<()>>,
}

impl Keeper {
    async fn run(mut self, mut asked: mpsc::Receiver<oneshot::Sender<Result<(), IdentityError>>>) {
        let plane = self.plane.clone();
        let mut events = plane.subscribe();
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = plane.stopped() => return,
                reply = asked.recv() => {
                    let Some(reply) = reply else { return };
                    _ = reply.send(self.signing.rotate());
                }
                // What was missed, the next tick makes up for.
                Ok(event) = events.recv() => if !concerns(&event) { continue },
                () = changed(&mut self.changes) => {}
                _ = tick.tick() => {}
            }
            self.renew().await;
        }
    }

    /// What fails is tried again, and keeps nothing else from being done: a signer that is over from being replaced least of all.
    async fn renew(&mut self) {
        let Self { plane, mesh, signing, follower, changes } = self;
        if changes.is_some() {
            tell(signing.follow());
        }
        tell(signing.advance());
        tell(follower.look(plane, signing).await);
        tell(trust(plane, mesh).await);
        let signer = mesh.authority.signer();
        if mesh.server.due(&**signer, mesh.clock.now()) {
            tell(mesh.server.renew(&**signer, mesh.clock.now()).await.map_err(IdentityError::from));
        }
    }
}

fn tell(outcome: Result<(), IdentityError>) {
    if let Err(error) = outcome {
        tracing::error!("the mesh's identity is not kept current, trying again: {error}");
    }
}

/// Whether a change may be one of what the MeshInstallation asks for.
fn concerns(event: &Applied) -> bool {
    event.objects.iter().any(|(key, _)| matches!(key.kind, Kind::MeshInstallation | Kind::Secret))
}
