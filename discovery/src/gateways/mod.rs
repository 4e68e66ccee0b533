//! Gateways to Deployments: each Gateway of ours gets a ServiceAccount, a Service and a Deployment in its namespace (GEP-1762),
//! unless it says that somebody else deploys it.
//!
//! Five steps: what is wanted is looked up ([`wanted`]), and its parameters read; the objects are built from that alone
//! ([`build`]), compared with those that are there ([`seen`]), applied ([`apply`]), and what stood in the way becomes a fact that
//! translation makes a status of. Where a Gateway is reached is no business of this: translation reads it off the Service, its
//! endpoints, and what its load balancer gave ([`ingress`]) or where nodes are reached ([`nodes`]), which is read before anything is
//! said ([`reached`]).
//!
//! Every replica looks; the one that leads writes. What stands in the way of writing, only that one knows: so whoever begins to lead
//! looks at every Gateway before anything is said of them ([`Gateways::judged`]).

mod apply;
mod build;
mod drift;
mod ingress;
mod made;
mod nodes;
mod overlay;
mod pod;
mod reached;
mod reconcile;
mod retry;
mod seen;
mod settings;
#[cfg(test)]
mod tests;
mod wanted;
mod watch;

use ingress::Ingress;
use nodes::Nodes;
pub(crate) use reached::Reached;
pub(crate) use settings::Place;

use crate::metrics::WatchMetrics;
use apply::Writer;
use futures::StreamExt;
use kube::Client;
use reconcile::{Outcome, Reconciler, lock};
use retry::Retries;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, watch as channel,
    },
    time::Instant,
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_controlplane::{Applied, Cause, ControlPlane};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::{
    engine::{Fact, Relation},
    gateway_api::Hindrance,
};
use watch::News;

/// Gateways that are worked on at once.
const AT_ONCE: usize = 8;
/// News that wait to be taken in.
const BACKLOG: usize = 64;

/// Deploys Gateways.
pub(crate) struct Gateways {
    reconciler: Reconciler,
    client: Client,
    source: SourceId,
    dirty: BTreeSet<ObjectKey>,
    retries: Retries<ObjectKey>,
    /// What was said to stand in a Gateway's way.
    hindered: HashMap<ObjectKey, Hindrance>,
    /// Whether every Gateway was looked at since this replica leads.
    judged: channel::Sender<bool>,
    metrics: WatchMetrics,
}

impl Gateways {
    /// Deploys the Gateways of a cluster, while this replica `leads`.
    pub(crate) fn new(
        client: Client,
        plane: ControlPlane,
        source: SourceId,
        place: Place,
        leads: channel::Receiver<bool>,
        metrics: WatchMetrics,
    ) -> Self {
        let reconciler = Reconciler {
            writer: Writer(client.clone()),
            plane,
            place,
            leads,
            seen: Default::default(),
            parameters: Default::default(),
        };
        let (dirty, retries, hindered) = Default::default();
        Self { reconciler, client, source, dirty, retries, hindered, judged: channel::Sender::new(false), metrics }
    }

    /// Whether this replica leads and has looked at every Gateway since.
    pub(crate) fn judged(&self) -> channel::Receiver<bool> {
        self.judged.subscribe()
    }

    /// Until the control plane stops.
    pub(crate) async fn run(mut self) {
        let plane = self.reconciler.plane.clone();
        tokio::select! {
            () = plane.stopped() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut changes = self.reconciler.plane.subscribe();
        self.reconciler.plane.ready().await;
        let (told, mut news) = mpsc::channel(BACKLOG);
        watch::start(&self.client, &self.metrics, &told);
        let mut leads = self.reconciler.leads.clone();
        let mut leading = *leads.borrow_and_update();
        self.mark_all().await;
        loop {
            let next = self.retries.next();
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.note(&change).await,
                    Err(RecvError::Lagged(_)) => self.mark_all().await,
                    Err(RecvError::Closed) => return,
                },
                Some(news) = news.recv() => self.hear(news),
                changed = leads.changed() => match changed {
                    Ok(()) => {
                        leading = *leads.borrow_and_update();
                        self.mark_all().await;
                    }
                    Err(_) => return,
                },
                () = until(next) => {}
            }
            self.catch_up(&mut changes, &mut news).await;
            self.dirty.extend(self.retries.due(Instant::now()));
            if lock(&self.reconciler.seen).is_complete() {
                self.settle().await;
                // Whoever lost the Lease meanwhile has not looked at all of them.
                let judged = leading && leads.has_changed().is_ok_and(|changed| !changed);
                self.judged.send_if_modified(|known| std::mem::replace(known, judged) != judged);
            }
        }
    }

    /// Takes in all that waits: several changes of one Gateway are one.
    async fn catch_up(&mut self, changes: &mut broadcast::Receiver<Arc<Applied>>, news: &mut mpsc::Receiver<News>) {
        while let Ok(change) = changes.try_recv() {
            self.note(&change).await;
        }
        while let Ok(news) = news.try_recv() {
            self.hear(news);
        }
    }

    async fn note(&mut self, change: &Applied) {
        let objects = change.objects.iter().map(|(key, _)| key);
        if objects.clone().any(|key| matches!(key.kind, Kind::GatewayClass | Kind::MeshInstallation)) {
            return self.mark_all().await;
        }
        // What follows from facts, such as a hindrance that was just told, changes nothing of what is wanted.
        let said = matches!(change.cause, Cause::Source(_)).then_some(&change.statuses).into_iter().flatten();
        let gateways = objects.chain(said).filter(|key| key.kind == Kind::Gateway && key.source == self.source);
        self.dirty.extend(gateways.cloned());
    }

    async fn mark_all(&mut self) {
        let source = self.source;
        let all = self.reconciler.plane.ask(move |world| {
            let ours = world.snapshot().keys().filter(|key| key.kind == Kind::Gateway && key.source == source);
            ours.cloned().collect::<Vec<_>>()
        });
        self.dirty.extend(all.await.unwrap_or_default());
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Made(kind, event) => {
                let gateways = lock(&self.reconciler.seen).take(kind, *event);
                let keys = gateways.into_iter().map(|name| self.key(name)).collect::<Vec<_>>();
                self.dirty.extend(keys);
            }
            News::Parameters(name) => {
                let parameters = lock(&self.reconciler.parameters);
                let referrers = parameters.iter().filter(|(_, of)| **of == name).map(|(gateway, _)| gateway.clone());
                self.dirty.extend(referrers);
            }
        }
    }

    fn key(&self, name: NamespacedName) -> ObjectKey {
        ObjectKey { source: self.source, kind: Kind::Gateway, name }
    }

    /// Works off what is marked.
    async fn settle(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let reconciler = &self.reconciler;
        let work = dirty.into_iter().map(|key| async move { (reconciler.reconcile(&key).await, key) });
        let done: Vec<_> = futures::stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
        for (outcome, key) in done {
            self.conclude(key, outcome).await;
        }
    }

    async fn conclude(&mut self, key: ObjectKey, Outcome { hindrance, trouble }: Outcome) {
        match &trouble {
            Some(trouble) => {
                tracing::warn!(gateway = %key.name, "not deployed as it should be, trying again: {trouble}");
                self.retries.failed(key.clone(), trouble.pace(), Instant::now());
            }
            None => self.retries.worked(&key),
        }
        let before = match &hindrance {
            Some(hindrance) => self.hindered.insert(key.clone(), hindrance.clone()),
            None => self.hindered.remove(&key),
        };
        if before != hindrance {
            let facts = hindrance.into_iter().map(Fact::Hindrance).collect();
            _ = self.reconciler.plane.replace(Relation::Hindered(key), facts).await; // stopped: nobody reads it
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
