//! A cluster as a source of objects: every kind is watched, and what is said is said as a whole.

mod channel;
mod inventory;
mod kind;
mod presence;
mod stored;

pub(crate) use channel::Channel;
pub(crate) use stored::resource;

use crate::{metrics::WatchMetrics, observed::Observed, watched::Watched};
use inventory::{Inventory, News};
use kind::Watch;
use kube::Client;
use presence::Presence;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc};
use tombolo_api::{Kind, ObjectKey};
use tombolo_controlplane::{Edit, Sink, Source, Update};
use tombolo_core::{Host, Problem, SourceId};

/// The kinds that are read.
pub(crate) const KINDS: [Kind; 11] = [
    Kind::Namespace,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Secret,
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HttpRoute,
    Kind::ReferenceGrant,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::WorkloadGroup,
];

/// News that wait to be taken in.
const BACKLOG: usize = 64;
/// Before the API server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What one kind's watch has to say.
struct Told {
    kind: Kind,
    news: News,
}

/// A cluster.
pub(crate) struct Cluster {
    /// Part of the key of every object.
    pub(crate) id: SourceId,
    /// How it is asked.
    pub(crate) client: Client,
    /// Where the watches run.
    pub(crate) runtime: Handle,
    /// Where statuses that are seen are noted.
    pub(crate) observed: Arc<Observed>,
    /// Counts what fails.
    pub(crate) metrics: WatchMetrics,
}

impl Source for Cluster {
    fn id(&self) -> SourceId {
        self.id
    }

    fn run(self: Box<Self>, sink: Sink) {
        let runtime = self.runtime.clone();
        runtime.block_on(self.gather(&sink));
    }
}

impl Cluster {
    async fn gather(self, sink: &Sink) {
        let presence = loop {
            match Presence::look(self.client.clone(), &KINDS).await {
                Ok(presence) => break presence,
                Err(error) => {
                    tracing::warn!("the API server does not say which kinds it serves, asking again: {error}");
                }
            }
            if sink.is_closed() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let (told, mut news) = mpsc::channel(BACKLOG);
        for kind in KINDS {
            let watch = Watch {
                kind,
                client: self.client.clone(),
                served: presence.of(kind),
                inventory: Inventory::new(kind, self.id, self.observed.clone()),
                told: told.clone(),
                watched: Watched::new(&self.metrics, kind.name(), "objects"),
            };
            self.runtime.spawn(watch.run());
        }
        drop(told);
        self.runtime.spawn(presence.run(self.metrics.clone()));
        let mut gathered = Gathered::new();
        while let Some(first) = news.recv().await {
            gathered.take(first);
            while let Ok(next) = news.try_recv() {
                gathered.take(next);
            }
            let Some(update) = gathered.update() else { continue };
            // The graph thread may be behind; watches wait, and nothing else runs on this thread.
            if tokio::task::block_in_place(|| sink.send(update)).is_err() {
                return;
            }
        }
    }
}

/// What was said and not yet handed over. Nothing is, before every kind was read.
struct Gathered {
    waiting: BTreeSet<Kind>,
    edits: Vec<Edit>,
    allocated: Vec<(Host, Ipv4Addr)>,
    problems: BTreeMap<ObjectKey, Vec<Problem>>,
    problems_changed: bool,
    synced: bool,
}

impl Gathered {
    fn new() -> Self {
        let waiting = KINDS.into_iter().collect();
        Self {
            waiting,
            edits: Vec::new(),
            allocated: Vec::new(),
            problems: BTreeMap::new(),
            problems_changed: true,
            synced: false,
        }
    }

    fn take(&mut self, Told { kind, news }: Told) {
        self.edits.extend(news.edits);
        self.allocated.extend(news.allocated);
        for (key, problems) in news.problems {
            let before = if problems.is_empty() {
                self.problems.remove(&key).unwrap_or_default()
            } else {
                self.problems.insert(key, problems.clone()).unwrap_or_default()
            };
            self.problems_changed |= before != problems;
        }
        if news.listed {
            self.waiting.remove(&kind);
        }
    }

    fn update(&mut self) -> Option<Update> {
        if !self.waiting.is_empty() {
            return None;
        }
        let all = || self.problems.values().flatten().cloned().collect();
        let problems = std::mem::take(&mut self.problems_changed).then(all);
        let synced = !std::mem::replace(&mut self.synced, true);
        let (edits, allocated) = (std::mem::take(&mut self.edits), std::mem::take(&mut self.allocated));
        let update = Update { edits, problems, allocated, synced };
        (!update.is_empty()).then_some(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_before_every_kind_was_read() {
        let mut gathered = Gathered::new();
        let listed = || News { listed: true, ..News::default() };
        for kind in &KINDS[1..] {
            gathered.take(Told { kind: *kind, news: listed() });
            assert!(gathered.update().is_none());
        }
        gathered.take(Told { kind: KINDS[0], news: listed() });
        assert!(gathered.update().is_some_and(|update| update.synced));
        gathered.take(Told { kind: KINDS[0], news: listed() });
        assert!(gathered.update().is_none(), "a list that is made again and brings nothing new is no news");
    }
}
