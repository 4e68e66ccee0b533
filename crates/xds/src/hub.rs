//! What all streams share: resources, connections, rejections.

use crate::{
    Class, Classify, Config, ConnectionId, Metrics, Peer, Refusal, Rejection, TakeHealth,
    connection::Connection,
    health::Unheard,
    index::Index,
    instances::Instances,
    mailbox::Mailbox,
    metrics::Cut,
    rejections::Rejections,
    session::{Event, Session},
};
use roaring::RoaringBitmap;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tombolo_core::InstanceId;
use tombolo_proto::{Change, Framing};
use tonic::Status;

/// The shared state. A handle: clones are the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    config: Config,
    classify: Box<dyn Classify>,
    health: Box<dyn TakeHealth>,
    index: RwLock<Index>,
    connections: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
    instances: Instances,
    rejections: Rejections,
    metrics: Metrics,
    open: watch::Sender<bool>,
    closing: CancellationToken,
}

/// What one call of [`Hub::publish`] did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publication {
    /// How many changes changed anything.
    pub changed: usize,
    /// The connections that have something new to be told, by number.
    pub connections: RoaringBitmap,
}

impl Hub {
    /// A hub that holds nothing yet, and answers nobody until [`Hub::open`].
    pub fn new(config: Config, classify: impl Classify) -> Self {
        Self::with_health(config, classify, Unheard)
    }

    /// Like [`Hub::new`], and health reports go to `health`.
    pub fn with_health(config: Config, classify: impl Classify, health: impl TakeHealth) -> Self {
        Self(Arc::new(Shared {
            config,
            classify: Box::new(classify),
            health: Box::new(health),
            index: RwLock::default(),
            connections: Mutex::default(),
            instances: Instances::default(),
            rejections: Rejections::default(),
            metrics: Metrics::default(),
            open: watch::Sender::new(false),
            closing: CancellationToken::new(),
        }))
    }

    /// Takes changes in, all at once for every reader, and wakes the connections that they concern. For one writer at a time.
    ///
    /// The cost follows the connections concerned, not the number of resources.
    pub fn publish(&self, changes: Vec<Change>) -> Publication {
        let mut publication = Publication::default();
        let mailboxes: Vec<Arc<Mailbox>> = {
            let mut index = self.index_mut();
            for change in changes {
                publication.changed += usize::from(index.apply(&change, &mut publication.connections));
            }
            index.mailboxes(&publication.connections).cloned().collect()
        };
        // Not under the lock: what wakes up wants it.
        mailboxes.iter().for_each(|mailbox| mailbox.wake());
        publication
    }

    /// From now on streams are answered: everything has been published once.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Whether [`Hub::open`] has been called.
    pub fn is_open(&self) -> bool {
        *self.0.open.borrow()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Gives a proxy another class on its live stream: it is sent the difference. False where it is gone.
    pub fn reclassify(&self, connection: ConnectionId, class: Class) -> bool {
        let connection = self.connections().get(&connection).cloned();
        connection.is_some_and(|connection| {
            connection.mailbox.reclassify(class);
            true
        })
    }

    /// Ends the streams that an instance of a namespace has open, such as one that was revoked. Says how many those are. The cost
    /// follows them.
    pub fn refuse(&self, namespace: &str, instance: &InstanceId, refusal: &Refusal) -> usize {
        let connections = self.0.instances.of(namespace, instance);
        for connection in &connections {
            tracing::warn!(proxy = &*connection.proxy(), %instance, "cut: {refusal}");
            self.0.metrics.cut(Cut::Refused);
            connection.mailbox.close(refusal.clone().into());
        }
        connections.len()
    }

    /// True while an instance of a namespace has a stream open.
    pub fn has(&self, namespace: &str, instance: &InstanceId) -> bool {
        !self.0.instances.of(namespace, instance).is_empty()
    }

    /// What clients reject now.
    pub fn rejections(&self) -> Vec<Rejection> {
        self.0.rejections.list()
    }

    /// Sees a change whenever [`Hub::rejections`] may have changed.
    pub fn watch_rejections(&self) -> watch::Receiver<()> {
        self.0.rejections.changes()
    }

    /// Refuses new streams and ends the others one after the other, spread over [`crate::Timing::drain`], so that they do not all
    /// turn to the other replicas in the same moment.
    pub async fn shed(&self) {
        self.0.closing.cancel();
        let connections: Vec<_> = self.live();
        let (start, count) = (tokio::time::Instant::now(), u32::try_from(connections.len()).unwrap_or(u32::MAX));
        for (turn, connection) in (0..).zip(connections) {
            tokio::time::sleep_until(start + self.0.config.timing.drain * turn / count).await;
            connection.mailbox.close(Status::unavailable("this control plane is shutting down; connect again"));
        }
    }
}

/// For streams and servers.
impl Hub {
    /// Lets a stream in, if the limits do.
    pub(crate) fn connect(
        &self,
        framing: Framing,
        peer: Option<Peer>,
        cut: CancellationToken,
    ) -> Result<Arc<Connection>, Status> {
        if self.0.closing.is_cancelled() {
            return Err(Status::unavailable("this control plane is shutting down; connect again"));
        }
        let limit = self.0.config.limits.connections;
        let mut connections = self.connections();
        if connections.len() >= limit {
            self.0.metrics.cut(Cut::Limit);
            return Err(Status::resource_exhausted(format!("all {limit} connections are taken (limits.connections)")));
        }
        let mailbox = Arc::new(Mailbox::default());
        let id = self.index_mut().connect(mailbox.clone());
        let session = Session::new(id, framing, &self.0.config.timing, Instant::now());
        let connection = Arc::new(Connection::new(id, framing, mailbox, peer, session, cut));
        connections.insert(id, connection.clone());
        self.0.instances.insert(&connection);
        Ok(connection)
    }

    /// Forgets a stream.
    pub(crate) fn disconnect(&self, connection: &Connection) {
        let mut session = connection.session();
        // The id is given again once the index has forgotten it, so the connection goes first.
        self.connections().remove(&connection.id);
        self.0.instances.remove(connection);
        session.close(&mut self.index_mut());
        self.report(connection, &mut session);
    }

    /// Resolves once the hub is open.
    pub(crate) async fn opened(&self) {
        // The sender lives as long as this handle.
        _ = self.0.open.subscribe().wait_for(|open| *open).await;
    }

    pub(crate) fn classify(&self) -> &dyn Classify {
        &*self.0.classify
    }

    pub(crate) fn health(&self) -> &dyn TakeHealth {
        &*self.0.health
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every stream there is.
    pub(crate) fn live(&self) -> Vec<Arc<Connection>> {
        self.connections().values().cloned().collect()
    }

    pub(crate) fn find(&self, connection: ConnectionId) -> Option<Arc<Connection>> {
        self.connections().get(&connection).cloned()
    }

    /// Cuts every connection that has taken nothing in for too long.
    pub(crate) fn cut_stalled(&self, longest: Duration) {
        for connection in self.live().iter().filter(|connection| connection.progress.stalled() >= longest) {
            tracing::warn!(proxy = &*connection.proxy(), "cut: it has read nothing for {longest:?}");
            self.0.metrics.cut(Cut::Stalled);
            connection.cut.cancel();
        }
    }

    /// Passes on what a session has to tell.
    pub(crate) fn report(&self, connection: &Connection, session: &mut Session) {
        for event in session.take_events() {
            self.0.metrics.count(&event);
            match event {
                Event::Acknowledged(_) => {}
                Event::Refused(kind, message) => {
                    tracing::warn!(
                        proxy = &*connection.proxy(),
                        kind = kind.short(),
                        "the proxy rejects a response: {message}"
                    );
                }
                Event::Withheld { kind, name, version, message } => {
                    tracing::warn!(proxy = &*connection.proxy(), kind = kind.short(), %version, "withheld: {name}: {message}");
                    self.0.rejections.add((kind, name, version), connection.id, message);
                }
                Event::Released { kind, name, version } => {
                    self.0.rejections.remove(&(kind, name, version), connection.id);
                }
                Event::WaitedInVain { kind, name, clusters } => {
                    tracing::warn!(
                        proxy = &*connection.proxy(),
                        kind = kind.short(),
                        "{name} is sent although clusters are not warm: {clusters:?}"
                    );
                }
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Connection>>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
