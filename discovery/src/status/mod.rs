//! The writer of statuses: what translation says of objects goes into the API server, where it differs from what was seen.
//!
//! ```text
//! ControlPlane: what we say ──┐
//!                             ├─► Queue ─► merge ─► at most 16 writes at a time
//! Observed: what was seen ────┘              └─► mostly nothing
//! ```
//!
//! Only the replica that holds the lease writes. Nothing is read for it: what is compared with comes from the watches, and
//! each write names the version that it is based on.
//!
//! What is found of this control plane itself is written by [`RevisionWriter`].

mod merge;
mod metrics;
mod queue;
mod revision;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use metrics::StatusMetrics;
pub(crate) use revision::RevisionWriter;

use crate::observed::{Observed, Seen};
use futures::{StreamExt, stream::FuturesUnordered};
use kube::Client;
use queue::{End, Queue, Why};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{Instant, sleep_until, timeout},
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_controlplane::{ControlPlane, Stopped, TimedStatus, World};
use tombolo_core::SourceId;
use tombolo_kubernetes::retry::Failure;

/// So long a new writer waits for what stands in Gateways' way, and for what other replicas have to say: longer than it takes, unless
/// one of them does not answer.
const HOLD: Duration = Duration::from_secs(10);
/// Writes under way at a time.
const IN_FLIGHT: usize = 16;

/// Writes statuses.
pub(crate) struct StatusWriter {
    /// What is said of objects.
    pub(crate) plane: ControlPlane,
    /// How it is written.
    pub(crate) client: Client,
    /// What was seen of objects.
    pub(crate) observed: Arc<Observed>,
    /// The cluster whose objects are written.
    pub(crate) cluster: SourceId,
    /// Whether it was looked, since this replica writes, what stands in Gateways' way: else they would be said to be well for a moment.
    pub(crate) judged: watch::Receiver<bool>,
    /// Whether other replicas were asked, likewise, what their proxies reject.
    pub(crate) heard: watch::Receiver<bool>,
    /// Counts.
    pub(crate) metrics: StatusMetrics,
}

/// A status that must be different.
struct Flight {
    key: ObjectKey,
    seen: Seen,
    ours: Option<Value>,
    patch: Value,
}

impl StatusWriter {
    /// Writes while `writer` says so, until nobody can say so any more or the control plane stops.
    pub(crate) async fn run(self, mut writer: watch::Receiver<bool>) {
        self.plane.ready().await;
        while writer.wait_for(|held| *held).await.is_ok() {
            self.metrics.writes_here(true);
            tokio::select! {
                biased;
                // What is under way is dropped: somebody else may be writing already.
                lost = writer.wait_for(|held| !*held) => if lost.is_err() { return },
                () = self.plane.stopped() => return,
                Err(Stopped) = self.write() => return,
            }
            self.metrics.writes_here(false);
            self.metrics.waiting(0);
        }
    }

    async fn write(&self) -> Result<(), Stopped> {
        // Heard from before everything is gone through, so that nothing falls in between.
        let (mut said, seen) = (self.plane.subscribe(), self.observed.listen());
        let (mut queue, mut flights) = (Queue::default(), FuturesUnordered::new());
        let known = async {
            _ = self.judged.clone().wait_for(|judged| *judged).await;
            _ = self.heard.clone().wait_for(|heard| *heard).await;
        };
        _ = timeout(HOLD, known).await;
        self.everything(&mut queue).await?;
        loop {
            self.metrics.waiting(queue.len());
            let due = queue.take(IN_FLIGHT - flights.len(), Instant::now());
            if !due.is_empty() {
                for (key, why, ours) in self.ask(due).await? {
                    match self.plan(&key, why, ours.as_ref()) {
                        Ok(flight) => flights.push(self.fly(flight)),
                        Err(end) => queue.finish(&key, end, Instant::now()),
                    }
                }
                continue;
            }
            let next = queue.next().filter(|_| flights.len() < IN_FLIGHT);
            tokio::select! {
                said = said.recv() => match said {
                    Ok(applied) => self.touch(&mut queue, Why::Said, &applied.statuses),
                    Err(RecvError::Lagged(_)) => self.everything(&mut queue).await?,
                    Err(RecvError::Closed) => return Err(Stopped),
                },
                changed = seen.changed() => self.touch(&mut queue, Why::Seen, &changed),
                Some((key, end)) = flights.next() => queue.finish(&key, end, Instant::now()),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Every object that we say something of, and those where we once did.
    async fn everything(&self, queue: &mut Queue) -> Result<(), Stopped> {
        let said = self.plane.ask(|world| world.statuses().map(|(key, _)| key.clone()).collect::<Vec<_>>()).await?;
        let ours = |status: &Value| merge::list(status, "parents").iter().any(merge::is_ours);
        self.touch(queue, Why::Said, &said);
        self.touch(queue, Why::Said, &self.observed.find(Kind::HttpRoute, ours));
        Ok(())
    }

    fn touch<'k>(&self, queue: &mut Queue, why: Why, keys: impl IntoIterator<Item = &'k ObjectKey>) {
        let now = Instant::now();
        let written = |key: &&ObjectKey| key.source == self.cluster && Observed::KINDS.contains(&key.kind);
        keys.into_iter().filter(written).for_each(|key| queue.touch(key, why, now));
    }

    /// What we say of these objects now.
    async fn ask(&self, due: Vec<(ObjectKey, Why)>) -> Result<Vec<(ObjectKey, Why, Option<TimedStatus>)>, Stopped> {
        let answer = |world: &World| {
            let answered = due.into_iter().map(|(key, why)| {
                let ours = world.status(&key).cloned();
                (key, why, ours)
            });
            answered.collect()
        };
        self.plane.ask(answer).await
    }

    /// What to write; the error says that there is nothing, and why.
    fn plan(&self, key: &ObjectKey, why: Why, ours: Option<&TimedStatus>) -> Result<Flight, End> {
        let seen = self.observed.get(key).ok_or(End::Gone)?;
        let ours = ours.map(TimedStatus::to_json);
        // Whoever never heard a word of ours about an object knows nothing of whose its conditions are.
        if ours.is_none() && why == Why::Seen && key.kind != Kind::HttpRoute {
            return Err(End::Settled);
        }
        let patch = merge::merge(key.kind, &seen.status, ours.as_ref()).ok_or(End::Settled)?;
        Ok(Flight { key: key.clone(), seen, ours, patch })
    }

    async fn fly(&self, flight: Flight) -> (ObjectKey, End) {
        let Flight { key, seen, ours, patch } = flight;
        let served = self.observed.served(key.kind);
        let end = match write::write(self.client.clone(), &key, served, &seen.version, &patch).await {
            Ok(now) => {
                self.metrics.wrote(key.kind.name());
                let kept = merge::merge(key.kind, &now.status, ours.as_ref()).is_none();
                self.observed.written(&key, &seen.version, &now);
                if !kept {
                    self.unkept(&key);
                }
                End::Written
            }
            Err(error) => self.failed(&key, &seen.version, &error),
        };
        (key, end)
    }

    /// It is let be until something changes: writing it again would go on for ever.
    fn unkept(&self, key: &ObjectKey) {
        self.metrics.failed(key.kind.name(), "NotKept");
        tracing::warn!(object = %key.reference(), "the API server does not keep its status as it was written: \
            its CustomResourceDefinition may be older than what is written");
    }

    fn failed(&self, key: &ObjectKey, base: &str, error: &write::WriteError) -> End {
        let failure = error.failure();
        match failure {
            Failure::Conflict => {
                self.metrics.outrun(key.kind.name());
                match self.observed.get(key) {
                    Some(seen) if seen.version == base => End::Outrun,
                    _ => End::Failed(failure), // what is newer was seen already
                }
            }
            // Its going is seen, or was.
            Failure::NotFound => End::Settled,
            _ => {
                self.metrics.failed(key.kind.name(), failure.reason());
                tracing::warn!(object = %key.reference(), "its status cannot be written: {error}: {}", failure.fix());
                End::Failed(failure)
            }
        }
    }
}
