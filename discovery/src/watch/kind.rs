//! Watching one kind.

use super::{
    Told,
    inventory::{Inventory, News},
    stored::{Stored, resource},
};
use crate::metrics::WatchMetrics;
use futures::{Stream, StreamExt};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tombolo_api::Kind;
use tombolo_kubernetes::watch::WatchBackoff;

/// Events that are taken in together, at most.
const TOGETHER: usize = 512;

/// A watch that failed and does not fail again for so long has gone on, even where nothing happens: longer than it takes to fail to
/// connect, and the wait before that.
const QUIET: Duration = Duration::from_secs(40);

/// A kind, and how it is watched.
pub(super) struct Watch {
    pub(super) kind: Kind,
    pub(super) client: Client,
    /// The version that is served; `None` while the kind is not there.
    pub(super) served: watch::Receiver<Option<&'static str>>,
    pub(super) inventory: Inventory,
    pub(super) told: mpsc::Sender<Told>,
    pub(super) metrics: WatchMetrics,
    /// Whether lists are asked for as streams.
    pub(super) streaming: bool,
}

/// Why following ended.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    /// The kind is no longer served as it was.
    Gone,
    /// The API server cannot stream lists.
    Unstreamed,
}

impl Watch {
    /// Watches until nobody listens. A kind that is not there counts as read; one that goes keeps its content until it is
    /// there again and was read again.
    pub(super) async fn run(mut self) {
        loop {
            let served = *self.served.borrow_and_update();
            let Some(version) = served else {
                let nothing = News { listed: true, ..News::default() };
                if self.tell(nothing).await.is_err() || self.served.changed().await.is_err() {
                    return;
                }
                continue;
            };
            self.inventory.served(version);
            match self.follow(version).await {
                Ended::Unheard => return,
                Ended::Gone => {
                    tracing::info!(kind = %self.kind, version, "no longer served: what was read last goes on being used");
                }
                Ended::Unstreamed => self.streaming = false,
            }
        }
    }

    fn stream(&self, version: &'static str) -> impl Stream<Item = watcher::Result<Event<Stored>>> + Send + use<> {
        let resource = resource(self.kind, version);
        let api = Api::<Stored>::all_with(self.client.clone(), &resource);
        let mut served = self.served.clone();
        let gone = async move { _ = served.wait_for(|now| *now != Some(version)).await };
        watcher(api, config(self.kind, self.streaming)).backoff(WatchBackoff::default()).take_until(Box::pin(gone))
    }

    async fn follow(&mut self, version: &'static str) -> Ended {
        let mut failing: Option<Instant> = None;
        let mut chunks = pin!(self.stream(version).ready_chunks(TOGETHER));
        loop {
            let chunk = match failing {
                None => chunks.next().await,
                Some(_) => match timeout(QUIET, chunks.next()).await {
                    Ok(chunk) => chunk,
                    Err(_) => {
                        self.recovered(&mut failing);
                        continue;
                    }
                },
            };
            let Some(chunk) = chunk else { return Ended::Gone };
            let mut news = News::default();
            for event in chunk {
                match event {
                    Ok(event) => {
                        // That a list begins says nothing yet.
                        if !matches!(event, Event::Init) {
                            self.recovered(&mut failing);
                        }
                        self.inventory.take(event, &mut news);
                    }
                    Err(error) if self.streaming && cannot_stream(&error) => return Ended::Unstreamed,
                    Err(error) => self.failed(&error, &mut failing),
                }
            }
            if self.tell(news).await.is_err() {
                return Ended::Unheard;
            }
        }
    }

    fn recovered(&self, failing: &mut Option<Instant>) {
        if let Some(since) = failing.take() {
            self.metrics.recovered(self.kind);
            tracing::info!(kind = %self.kind, seconds = since.elapsed().as_secs(), "watched again");
        }
    }

    fn failed(&self, error: &watcher::Error, failing: &mut Option<Instant>) {
        if failing.is_none() {
            let fix = fix(error);
            tracing::warn!(kind = %self.kind, "cannot be watched, what was read last goes on being used: {error}{fix}");
            *failing = Some(Instant::now());
        }
        self.metrics.failed(self.kind);
    }

    async fn tell(&self, news: News) -> Result<(), mpsc::error::SendError<Told>> {
        if news.edits.is_empty() && news.problems.is_empty() && !news.listed {
            return Ok(());
        }
        self.told.send(Told { kind: self.kind, news }).await
    }
}

/// Only what is read: of Secrets, keys for listeners.
fn config(kind: Kind, streaming: bool) -> watcher::Config {
    let config = watcher::Config::default();
    let config = if streaming { config.streaming_lists() } else { config };
    match kind {
        Kind::Secret => config.fields("type=kubernetes.io/tls"),
        _ => config,
    }
}

/// Streaming lists need Kubernetes 1.32 and etcd 3.4.25: older ones refuse the watch (422), or end it at once.
fn cannot_stream(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.message.contains("RequestWatchProgress"),
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 422 || status.code == 400,
        _ => false,
    }
}

fn fix(error: &watcher::Error) -> &'static str {
    let (watcher::Error::InitialListFailed(inner) | watcher::Error::WatchStartFailed(inner)) = error else { return "" };
    match inner {
        kube::Error::Api(status) if status.code == 403 => {
            ": the ServiceAccount may not list or watch it; grant that in its ClusterRole"
        }
        _ => "",
    }
}
