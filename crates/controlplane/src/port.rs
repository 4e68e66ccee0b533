//! What a control plane needs from outside: where objects come from, and what time it is.

use crate::graph::{Command, Commands};
use std::{collections::BTreeSet, net::Ipv4Addr, time::SystemTime};
use tokio_util::sync::CancellationToken;
use tombolo_api::{AnyObject, ObjectKey};
use tombolo_core::{Host, Origin, Problem, SourceId};

/// One object is new or different, or is gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// What it is now, and where it stands, if it stands in a file.
    Apply(AnyObject, Option<Origin>),
    /// It is gone.
    Delete(ObjectKey),
}

/// What a source has to say. Taken in as a whole: no proxy sees a half of it.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Objects that changed, in order.
    pub edits: Vec<Edit>,
    /// All that is wrong with what the source holds now; `None` where that is as before.
    pub problems: Option<BTreeSet<Problem>>,
    /// Addresses that hosts were given, as objects state it.
    pub allocated: Vec<(Host, Ipv4Addr)>,
    /// True once everything was read once. Nothing is served until every source has said so.
    pub synced: bool,
}

impl Update {
    /// True where there is nothing to take in.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.problems.is_none() && self.allocated.is_empty() && !self.synced
    }
}

/// Where objects come from: a directory, a cluster.
pub trait Source: Send {
    /// Part of the key of every object from here. Stable across restarts.
    fn id(&self) -> SourceId;

    /// Says everything there is, then every change, until [`Sink::is_closed`]. Runs on a thread of its own.
    fn run(self: Box<Self>, sink: Sink);
}

/// Where a source says what it has to say.
pub struct Sink {
    source: SourceId,
    commands: Commands,
    closed: CancellationToken,
}

/// The control plane has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane has stopped")]
pub struct Stopped;

impl Sink {
    pub(crate) fn new(source: SourceId, commands: Commands, closed: CancellationToken) -> Self {
        Self { source, commands, closed }
    }

    /// Hands an update over; blocks while the control plane is behind.
    pub fn send(&self, update: Update) -> Result<(), Stopped> {
        self.commands.send_blocking(Command::Update(self.source, update))
    }

    /// Resolves once nobody listens any more: the source's cue to end.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// True once nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }
}

/// What time it is, for `lastTransitionTime`.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
