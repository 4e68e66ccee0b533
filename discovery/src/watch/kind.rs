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
    runtime::watcher::{self, Event},
};
use std::pin::pin;
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
    pub(super) watched: Watched,
}

/// Why following ended.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    /// The kind is no longer served as it was.
    Gone,
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
            }
        }
    }

    fn stream(&self, version: &'static str) -> impl Stream<Item = watcher::Result<Event<Stored>>> + Send + use<> {
        let resource = resource(self.kind, version);
        let api = Api::<Stored>::all_with(self.client.clone(), &resource);
        let mut served = self.served.clone();
        let gone = async move { _ = served.wait_for(|now| *now != Some(version)).await };
        tombolo_kubernetes::watch::events(api, config(self.kind)).take_until(Box::pin(gone))
    }

    async fn follow(&mut self, version: &'static str) -> Ended {
        let mut chunks = pin!(self.stream(version).ready_chunks(TOGETHER));
        while let Some(chunk) = self.watched.next(&mut chunks).await {
            let mut news = News::default();
            for event in chunk {
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
fn config(kind: Kind) -> watcher::Config {
    let config = watcher::Config::default();
    match kind {
        Kind::Secret => config.fields("type=kubernetes.io/tls"),
        _ => config,
    }
}
