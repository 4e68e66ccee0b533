//! The graph thread: the one writer of all that a control plane knows, and the handle to it.

mod commands;
mod event;
mod status;
mod world;

use commands::Shared;
pub(crate) use commands::{Command, Commands};
pub use event::{Applied, Cause, Edited, Finding};
pub use status::TimedStatus;
pub use world::World;

use crate::{
    Allocator, Clock, Metrics, Sink, Source, Stopped, Store,
    classify::Classifier,
    health::HealthPort,
    manual::Assigned,
    rejections::{self, Part, Report},
    revocations,
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tombolo_api::ObjectKey;
use tombolo_core::SourceId;
use tombolo_proto::Change;
use tombolo_translate::engine::{Fact, Relation};
use tombolo_xds::Hub;

/// Events that an observer may be behind; past that it is told how many it missed.
const EVENTS: usize = 1024;

/// A running control plane. A handle: clones are the same one. It stops with [`ControlPlane::stop`].
#[derive(Clone)]
pub struct ControlPlane {
    commands: Commands,
    events: broadcast::Sender<Arc<Applied>>,
    stop: CancellationToken,
    /// Sources that have not said everything yet.
    unread: watch::Sender<BTreeSet<SourceId>>,
    hub: Hub,
    metrics: Metrics,
}

/// What a control plane starts from.
pub struct Setup {
    /// Where objects come from.
    pub sources: Vec<Box<dyn Source>>,
    /// Facts known beforehand, such as where gateways bind: in effect before anything is served.
    pub facts: Vec<(Relation, Fact)>,
    /// Where is remembered which host was given which address; `None` where that need not outlast this process.
    pub store: Option<Arc<dyn Store>>,
    /// How proxies are served.
    pub xds: tombolo_xds::Config,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl ControlPlane {
    /// Starts the graph thread and a thread for each source. The hub opens once every source has said everything once. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// A thread cannot be started, or what the store remembers cannot be read.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let Setup { sources, facts, store, xds, clock } = setup;
        let allocator = match store {
            Some(store) => Allocator::open(store).map_err(std::io::Error::other)?,
            None => Allocator::default(),
        };
        let mut world = World::new(allocator);
        world.learn(facts, clock.now());
        let (commands, world, inbox) = Commands::new(world);
        let assigned = Assigned::default();
        let classifier = Classifier::new(commands.clone(), assigned.clone());
        let hub = Hub::with_health(xds, classifier, HealthPort(commands.clone()));
        let (events, _) = broadcast::channel(EVENTS);
        let unread = watch::Sender::new(sources.iter().map(|source| source.id()).collect());
        let plane = Self { commands, events, stop: CancellationToken::new(), unread, hub, metrics: Metrics::default() };
        let graph = Graph { world, plane: plane.clone(), clock, assigned };
        let stop = plane.stop.clone();
        spawn("graph", move || graph.run(inbox, &stop))?;
        for source in sources {
            let sink = Sink::new(source.id(), plane.commands.clone(), plane.stop.clone());
            spawn("source", move || source.run(sink))?;
        }
        rejections::watch(plane.hub.clone(), plane.commands.clone(), plane.stop.clone());
        Ok(plane)
    }

    /// Where proxies are served from.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What the graph thread has done.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every change from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Applied>> {
        self.events.subscribe()
    }

    /// Asks something of all that is known. The graph thread answers between two changes: keep it short.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&World) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        self.commands.ask(question).await
    }

    /// Adds facts that come from outside. Once this returns, what follows from them has been published.
    pub async fn learn(&self, facts: Vec<(Relation, Fact)>) -> Result<(), Stopped> {
        self.commands.learn(facts).await
    }

    /// Says what is known from outside of one relation: what was said of it before and is not among `facts` holds no more. Once
    /// this returns, what follows has been published.
    pub async fn replace(&self, relation: Relation, facts: Vec<Fact>) -> Result<(), Stopped> {
        self.commands.replace(relation, facts).await
    }

    /// Says all that is found of an object where it takes effect: conditions of its status, and problems. `by` is the part that finds it:
    /// what others found of the same object stays.
    pub async fn observe(&self, by: &'static str, object: ObjectKey, findings: Vec<Finding>) -> Result<(), Stopped> {
        self.commands.send(Command::Observe(by, object, findings)).await
    }

    /// What statuses may tell of what the proxies of this replica reject, and which of these resources some of them have taken: the
    /// resources of gateways are told, as statuses tell of no others.
    pub async fn rejected(&self, asked: &BTreeSet<Part>) -> Result<Report, Stopped> {
        let mut here = self.ask(|world| world.rejections().here().clone()).await?;
        let parts = here.parts().chain(asked).cloned().collect();
        here.taken = rejections::taken(&self.hub, parts).await;
        Ok(here)
    }

    /// Says what the proxies of other replicas reject: statuses tell it from then on, with what those of this one do.
    pub async fn rejected_elsewhere(&self, reports: Vec<Report>) -> Result<(), Stopped> {
        rejections::look(&self.commands, Some(reports)).await.map(drop)
    }

    /// Resolves once [`ControlPlane::stop`] was called.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    pub(crate) fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Resolves once every source has said everything once, and the hub is open.
    pub async fn ready(&self) {
        // The sender lives as long as this handle.
        _ = self.unread.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// The sources that have not said everything yet.
    pub fn unread(&self) -> BTreeSet<SourceId> {
        self.unread.borrow().clone()
    }

    /// Ends the threads; streams are shed by [`Hub::shed`].
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// The state of the graph thread.
struct Graph {
    world: Shared,
    plane: ControlPlane,
    clock: Arc<dyn Clock>,
    assigned: Assigned,
}

impl Graph {
    fn run(mut self, mut inbox: mpsc::Receiver<Command>, stop: &CancellationToken) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let Ok(runtime) = runtime.inspect_err(|error| tracing::error!(%error, "the graph thread cannot start")) else {
            return;
        };
        while let Some(Some(command)) = runtime.block_on(stop.run_until_cancelled(inbox.recv())) {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        let world = self.world.clone();
        let mut world = world.lock();
        match command {
            Command::Update(source, update) => {
                let synced = update.synced;
                let (applied, changes) = world.update(source, update, self.clock.now());
                revocations::enforce(&self.plane.hub, &world, &applied.objects);
                self.assigned.enforce(&self.plane.hub, &world, &applied.objects);
                self.publish(applied, changes);
                if synced && self.plane.unread.borrow().iter().eq([&source]) {
                    world.synced();
                    self.plane.hub.open();
                }
                if synced {
                    self.plane.unread.send_if_modified(|unread| unread.remove(&source));
                }
            }
            Command::Learn(facts, reply) => {
                let (applied, changes) = world.learn(facts, self.clock.now());
                self.publish(applied, changes);
                _ = reply.send(());
            }
            Command::Replace(relation, facts, reply) => {
                let (applied, changes) = world.replace(&relation, facts, self.clock.now());
                self.publish(applied, changes);
                _ = reply.send(());
            }
            Command::Health(report, reply) => {
                let (counted, applied, changes) = world.hear(&report, self.clock.now());
                self.publish(applied, changes);
                _ = reply.send(counted); // whoever has gone meanwhile needs no answer
            }
            Command::Observe(by, key, findings) => {
                let applied = world.observe(by, &key, findings, self.clock.now());
                self.publish(applied, Vec::new());
            }
            Command::Rejections(elsewhere, reply) => {
                let (any, applied, changes) = world.look_at_rejections(&self.plane.hub, elsewhere, self.clock.now());
                self.publish(applied, changes);
                _ = reply.send(any);
            }
            Command::Query(query) => query(&world),
        }
    }

    fn publish(&self, applied: Applied, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.plane.hub.publish(changes);
        }
        self.plane.metrics.count(&applied);
        if !applied.is_empty() || !applied.statuses.is_empty() {
            _ = self.plane.events.send(Arc::new(applied)); // nobody listening is fine
        }
    }
}
