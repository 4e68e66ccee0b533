//! Watching one kind.

use super::{
    Told,
    inventory::{Inventory, News},
    stored::{Stored, resource},
};
use crate::watched::Watched;
use futures::{Stream, StreamExt};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use std::pin::pin;
use tokio::sync::{mpsc, watch};
use tombolo_api::Kind;
use tombolo_kubernetes::watch::WatchBackoff;

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
    pub(super) watched: Watched,
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
        let mut chunks = pin!(self.stream(version).ready_chunks(TOGETHER));
        while let Some(chunk) = self.watched.next(&mut chunks).await {
            let mut news = News::default();
            for event in chunk {
                if self.streaming && event.as_ref().is_err_and(cannot_stream) {
                    return Ended::Unstreamed;
                }
                if let Some(event) = self.watched.event(event) {
                    self.inventory.take(event, &mut news);
                }
            }
            if self.tell(news).await.is_err() {
                return Ended::Unheard;
            }
        }
        Ended::Gone
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
