//! How the graph thread is spoken to.

use super::World;
use crate::{Finding, HealthReport, Stopped, Update, rejections::Report};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tombolo_api::ObjectKey;
use tombolo_core::SourceId;
use tombolo_translate::engine::{Fact, Relation};

/// Commands that wait; whoever has one more waits too.
const BACKLOG: usize = 256;

/// What the graph thread is asked to do.
pub(crate) enum Command {
    /// A source has something to say.
    Update(SourceId, Update),
    /// Something is known from outside. Answered once what follows from it has been published.
    Learn(Vec<(Relation, Fact)>, oneshot::Sender<()>),
    /// What is known from outside of one relation is this, and nothing else. Answered likewise.
    Replace(Relation, Vec<Fact>, oneshot::Sender<()>),
    /// An agent says how its workload is. Answered likewise, by the number of the newest of its reports that counts.
    Health(HealthReport, oneshot::Sender<Option<u64>>),
    /// All that one part finds of an object where it takes effect.
    Observe(&'static str, ObjectKey, Vec<Finding>),
    /// What proxies reject may have changed, or what other replicas tell of it is this from now on. Answered likewise, by whether
    /// anything is rejected.
    Rejections(Option<Vec<Report>>, oneshot::Sender<bool>),
    /// A question.
    Query(Box<dyn FnOnce(&World) + Send>),
}

/// Where commands go in. Clones go to the same thread.
#[derive(Clone)]
pub(crate) struct Commands {
    sender: mpsc::Sender<Command>,
    world: Shared,
}

/// The world, which one thread writes. It holds the lock for as long as it obeys a command.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// For the one who writes.
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commands {
    pub(super) fn new(world: World) -> (Self, Shared, mpsc::Receiver<Command>) {
        let (sender, inbox) = mpsc::channel(BACKLOG);
        let world = Shared(Arc::new(Mutex::new(world)));
        (Self { sender, world: world.clone() }, world, inbox)
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.sender.send(command).await.map_err(|_| Stopped)
    }

    /// For threads without a runtime.
    pub(crate) fn send_blocking(&self, command: Command) -> Result<(), Stopped> {
        self.sender.blocking_send(command).map_err(|_| Stopped)
    }

    /// The answer of this moment, where the graph thread is between two commands: waking it would cost more than most answers. `None`
    /// where it is not, or another asks likewise; then [`Commands::ask`]. For questions that take microseconds.
    pub(crate) fn glance<R>(&self, question: impl FnOnce(&World) -> R) -> Option<R> {
        if self.sender.is_closed() {
            return None; // nobody keeps it current any more
        }
        self.world.0.try_lock().ok().map(|world| question(&world))
    }

    pub(crate) async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&World) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |world: &World| drop(reply.send(question(world))));
        self.send(Command::Query(query)).await?;
        answer.await.map_err(|_| Stopped)
    }

    pub(crate) async fn replace(&self, relation: Relation, facts: Vec<Fact>) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Replace(relation, facts, reply)).await?;
        done.await.map_err(|_| Stopped)
    }

    pub(crate) async fn learn(&self, facts: Vec<(Relation, Fact)>) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Learn(facts, reply)).await?;
        done.await.map_err(|_| Stopped)
    }
}
