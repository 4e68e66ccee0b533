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
    runtime::{WatchStreamExt, watcher},
};
use std::{pin::pin, time::Instant};
use tokio::sync::{mpsc, watch};
use tombolo_api::Kind;

/// Events that are taken in together, at most.
const TOGETHER: usize = 512;

/// A kind, and how it is watched.
pub(super) struct Watch {
    pub(super) kind: Kind,
    pub(super) client: Client,
    /// The version that is served; `None` while the kind is not there.
    pub(super) served: watch::Receiver<Option<&'static str>>,
    pub(super) inventory: Inventory,
    pub(super) told: mpsc::Sender<Told>,
    pub(super) metrics: WatchMetrics,
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
            let mut gone = self.served.clone();
            let stream = self.stream(version);
            let changed = async move { _ = gone.wait_for(|now| *now != Some(version)).await };
            if self.follow(stream.take_until(Box::pin(changed))).await.is_err() {
                return;
            }
            tracing::info!(kind = %self.kind, version, "no longer served: what was read last goes on being used");
        }
    }

    fn stream(&self, version: &str) -> impl Stream<Item = watcher::Result<watcher::Event<Stored>>> + Send + use<> {
        let resource = resource(self.kind, version);
        let api = Api::<Stored>::all_with(self.client.clone(), &resource);
        watcher(api, config(self.kind)).default_backoff()
    }

    async fn follow(
        &mut self,
        stream: impl Stream<Item = watcher::Result<watcher::Event<Stored>>> + Send,
    ) -> Result<(), mpsc::error::SendError<Told>> {
        let mut failing: Option<Instant> = None;
        let mut chunks = pin!(stream.ready_chunks(TOGETHER));
        while let Some(chunk) = chunks.next().await {
            let mut news = News::default();
            for event in chunk {
                match event {
                    Ok(event) => {
                        if let Some(since) = failing.take() {
                            self.metrics.recovered(self.kind);
                            tracing::info!(kind = %self.kind, seconds = since.elapsed().as_secs(), "watched again");
                        }
                        self.inventory.take(event, &mut news);
                    }
                    Err(error) => {
                        if failing.is_none() {
                            let fix = fix(&error);
                            tracing::warn!(kind = %self.kind, "cannot be watched, what was read last goes on being used: {error}{fix}");
                        }
                        failing.get_or_insert_with(Instant::now);
                        self.metrics.failed(self.kind);
                    }
                }
            }
            self.tell(news).await?;
        }
        Ok(())
    }

    async fn tell(&self, news: News) -> Result<(), mpsc::error::SendError<Told>> {
        if news.edits.is_empty() && news.problems.is_empty() && !news.listed {
            return Ok(());
        }
        self.told.send(Told { kind: self.kind, news }).await
    }
}

/// Only what is read: of Secrets, keys for listeners.
fn config(kind: Kind) -> watcher::Config {
    let config = watcher::Config::default().streaming_lists();
    match kind {
        Kind::Secret => config.fields("type=kubernetes.io/tls"),
        _ => config,
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
