//! How the graph thread is spoken to.

use super::World;
use crate::{Finding, HealthReport, Stopped, Update};
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
    /// All that is found of an object where it takes effect.
    Observe(ObjectKey, Vec<Finding>),
    /// What proxies reject may have changed.
    Rejections,
    /// A question.
    Query(Box<dyn FnOnce(&World) + Send>),
}

/// Where commands go in. Clones go to the same thread.
#[derive(Clone)]
pub(crate) struct Commands(mpsc::Sender<Command>);

impl Commands {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (sender, inbox) = mpsc::channel(BACKLOG);
        (Self(sender), inbox)
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.0.send(command).await.map_err(|_| Stopped)
    }

    /// For threads without a runtime.
    pub(crate) fn send_blocking(&self, command: Command) -> Result<(), Stopped> {
        self.0.blocking_send(command).map_err(|_| Stopped)
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
