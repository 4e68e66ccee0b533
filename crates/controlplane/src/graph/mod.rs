//! The graph thread: the one writer of all that a control plane knows, and the handle to it.

mod event;
mod status;
mod world;

pub use event::{Applied, Cause, Edited};
pub use status::TimedStatus;
pub use world::World;

use crate::{Clock, Metrics, Sink, Source, Stopped, Update, classify::Classifier, rejections};
use std::{
    collections::BTreeSet,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tombolo_core::SourceId;
use tombolo_proto::Change;
use tombolo_translate::engine::{Fact, Relation};
use tombolo_xds::Hub;

/// Commands that wait; whoever has one more waits too.
const BACKLOG: usize = 256;
/// Events that an observer may be behind; past that it is told how many it missed.
const EVENTS: usize = 1024;

/// What the graph thread is asked to do.
pub(crate) enum Command {
    /// A source has something to say.
    Update(SourceId, Update),
    /// Proxies of some kind are connected. Answered once what they see has been published.
    Learn(Vec<(Relation, Fact)>, oneshot::Sender<()>),
    /// What proxies reject may have changed.
    Rejections,
    /// A question.
    Query(Box<dyn FnOnce(&World) + Send>),
}

/// A running control plane. A handle: clones are the same one. It stops with [`ControlPlane::stop`].
#[derive(Clone)]
pub struct ControlPlane {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Arc<Applied>>,
    stop: CancellationToken,
    hub: Hub,
    metrics: Metrics,
}

impl ControlPlane {
    /// Starts the graph thread and a thread for each source. The hub opens once every source has said everything once.
    pub fn start(sources: Vec<Box<dyn Source>>, config: tombolo_xds::Config, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::channel(BACKLOG);
        let hub = Hub::new(config, Classifier::new(commands.clone()));
        let (events, _) = broadcast::channel(EVENTS);
        let plane = Self { commands, events, stop: CancellationToken::new(), hub, metrics: Metrics::default() };
        let waiting = sources.iter().map(|source| source.id().clone()).collect();
        let graph = Graph { world: World::default(), waiting, plane: plane.clone(), clock };
        let stop = plane.stop.clone();
        spawn("graph", move || graph.run(inbox, &stop))?;
        for source in sources {
            let sink = Sink::new(source.id().clone(), plane.commands.clone(), plane.stop.clone());
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
    pub async fn ask<R: Send + 'static>(&self, question: impl FnOnce(&World) -> R + Send + 'static) -> Result<R, Stopped> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |world: &World| drop(reply.send(question(world))));
        self.commands.send(Command::Query(query)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
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
    world: World,
    /// Sources that have not said everything yet.
    waiting: BTreeSet<SourceId>,
    plane: ControlPlane,
    clock: Arc<dyn Clock>,
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
        match command {
            Command::Update(source, update) => {
                let synced = update.synced;
                let (applied, changes) = self.world.update(&source, update, self.clock.now());
                self.publish(applied, changes);
                if synced && self.waiting.remove(&source) && self.waiting.is_empty() {
                    self.plane.hub.open();
                }
            }
            Command::Learn(facts, reply) => {
                let (applied, changes) = self.world.learn(facts, self.clock.now());
                self.publish(applied, changes);
                _ = reply.send(());
            }
            Command::Rejections => {
                let problems = rejections::problems(&self.plane.hub, &self.world);
                let applied = self.world.reject(problems);
                self.publish(applied, Vec::new());
            }
            Command::Query(query) => query(&self.world),
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
