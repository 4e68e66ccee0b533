//! A config stream from its settings to its end, and what others may do with it meanwhile.

use super::{
    books::Shared,
    downstream,
    links::Links,
    metrics::Metrics,
    relay::{Bounds, Event, Relay, Report},
    settings::{Cache, Settings, Subscription},
    shelf::{Disk, Keep, Memory},
    status::Status,
    task::Task,
    upstream::{Dial, UpstreamError},
};
use prometheus_client::registry::Registry;
use prost::Message as _;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

/// Events that may wait for the task. Whoever has more waits: Envoy, or the control plane.
const EVENTS: usize = 64;
/// Types that Envoy may subscribe to; it has about ten.
const TYPES: usize = 64;

/// A config stream that is not running yet.
pub struct ConfigStream {
    settings: Settings,
    listener: UnixListener,
    books: Shared,
    metrics: Metrics,
    own: Vec<Subscription>,
    health: watch::Receiver<Option<Report>>,
    commands: mpsc::Receiver<Switch>,
}

/// What others may do with a config stream.
#[derive(Clone)]
pub struct Handle {
    books: Shared,
    metrics: Metrics,
    commands: mpsc::Sender<Switch>,
}

/// Why a control plane was not changed for another. The stream goes on with the one before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// It could not be reached, or it ended the stream before it was current.
    #[error("the other control plane is of no use: {0}")]
    Upstream(#[from] UpstreamError),
    /// Another change was asked for meanwhile.
    #[error("another change of control planes was asked for meanwhile")]
    Superseded,
    /// The stream's task is over.
    #[error("the config stream has ended")]
    Ended,
}

pub(super) struct Switch {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) done: oneshot::Sender<Result<(), SwitchError>>,
}

impl Handle {
    /// Changes to another control plane, make-before-break: returns once it is current and the one before is let go.
    ///
    /// # Errors
    /// See [`SwitchError`].
    pub async fn switch_to(&self, dial: Arc<dyn Dial>) -> Result<(), SwitchError> {
        let (done, outcome) = oneshot::channel();
        self.commands.send(Switch { dial, done }).await.map_err(|_| SwitchError::Ended)?;
        outcome.await.unwrap_or(Err(SwitchError::Ended))
    }

    /// Registers the stream's metrics, `tombolo_agent_config_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(&self.books, registry);
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        self.books.lock().status()
    }
}

impl ConfigStream {
    /// Listens for Envoy, and reads what was kept. Where nothing can be kept that is logged, and the stream runs without. Must be
    /// called within a tokio runtime.
    ///
    /// `health` is the workload's latest health, where anyone looks after that.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn new(
        settings: Settings,
        own: Vec<Subscription>,
        health: watch::Receiver<Option<Report>>,
    ) -> io::Result<(Self, Handle)> {
        let listener = downstream::listen(&settings.socket)?;
        let bounds = Bounds {
            subscriptions: settings.limits.subscriptions,
            types: TYPES,
            pending: settings.limits.pending_bytes,
        };
        let relay = Relay::new(settings.node.encode_to_vec().into(), bounds);
        let shelf: Box<dyn Keep> = match &settings.cache {
            Some(cache) => open(cache),
            None => Box::<Memory>::default(),
        };
        let books = Shared::new(relay, shelf);
        let (sender, commands) = mpsc::channel(1);
        let metrics = Metrics::default();
        let handle = Handle { books: books.clone(), metrics: metrics.clone(), commands: sender };
        Ok((Self { settings, listener, books, metrics, own, health, commands }, handle))
    }

    /// Runs for ever. Dropping the future ends both sides.
    pub async fn run(self, dial: Arc<dyn Dial>) {
        let Self { settings, listener, books, metrics, own, mut health, mut commands } = self;
        let (to_links, mut links) = mpsc::channel(EVENTS);
        let (to_envoy, mut envoy) = mpsc::channel(EVENTS);
        let mut task =
            Task::new(books.clone(), metrics, dial, Links::new(to_links, settings.timing.dial), settings.timing);
        task.subscribe(own);
        task.report(&mut health);
        let serving = downstream::serve(listener, settings.limits.message_bytes, to_envoy);
        let sync = keep_synced(books.clone(), settings.timing.sync);
        tokio::pin!(serving, sync);
        let mut prune = interval(settings.timing.prune);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            task.keep_dialling();
            let quiet = task.links.next_quiet();
            tokio::select! {
                () = &mut serving => return,
                () = &mut sync => return,
                Some(event) = links.recv() => task.link(event),
                Some(event) = envoy.recv() => task.envoy(event),
                Some(switch) = commands.recv() => task.switch(switch),
                Ok(()) = health.changed() => task.report(&mut health),
                () = until(quiet.map(|(at, _)| at)) => task.quiet(quiet.map(|(_, id)| id)),
                _ = prune.tick() => task.handle(Event::Prune),
            }
        }
    }
}

/// An agent whose disk is of no use serves all the same.
fn open(cache: &Cache) -> Box<dyn Keep> {
    match Disk::open(cache) {
        Ok(disk) => Box::new(disk),
        Err(error) => {
            let directory = cache.directory.display();
            tracing::error!("what Envoy accepts is not kept, because {directory} cannot be used: {error}");
            Box::<Memory>::default()
        }
    }
}

/// Makes last what was accepted: writing waits for nothing, the disk takes its time on a thread of its own.
async fn keep_synced(books: Shared, every: Duration) {
    loop {
        books.accepted.notified().await;
        // What is accepted in a row is made to last at once.
        sleep(every).await;
        let Some(sync) = books.lock().shelf.sync() else { continue };
        let outcome = tokio::task::spawn_blocking(|| sync.run()).await;
        if let Err(error) = outcome.map_err(io::Error::from).flatten() {
            tracing::error!("what Envoy accepted may not outlive a crash of this machine: {error}");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
