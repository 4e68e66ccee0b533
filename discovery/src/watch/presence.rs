//! Which kinds there are: definitions come and go while this runs.

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use std::{collections::BTreeMap, pin::pin, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};
use tombolo_api::Kind;

/// How often to look, besides when a definition changes: a new one is served a moment after it is seen, and whoever may not
/// watch definitions learns of them only so.
const LOOK: Duration = Duration::from_secs(30);
/// How often to look while something changed and is not yet as the definitions say.
const SOON: Duration = Duration::from_millis(200);
const SOON_TIMES: u32 = 25;

/// True for kinds that every cluster has.
fn built_in(kind: Kind) -> bool {
    matches!(kind.group(), "" | "discovery.k8s.io")
}

/// The version of each kind that is served, kept current.
pub(super) struct Presence {
    client: Client,
    kinds: BTreeMap<Kind, watch::Sender<Option<&'static str>>>,
}

impl Presence {
    /// Looks which kinds there are now.
    ///
    /// # Errors
    /// The API server does not answer.
    pub(super) async fn look(client: Client, kinds: &[Kind]) -> Result<Self, kube::Error> {
        let mut senders = BTreeMap::new();
        for kind in kinds {
            senders.insert(*kind, watch::Sender::new(served(&client, *kind).await?));
        }
        Ok(Self { client, kinds: senders })
    }

    /// The version of a kind that is served, from now on.
    pub(super) fn of(&self, kind: Kind) -> watch::Receiver<Option<&'static str>> {
        self.kinds.get(&kind).map_or_else(|| watch::channel(None).1, watch::Sender::subscribe)
    }

    /// Keeps it current, for as long as somebody listens.
    pub(super) async fn run(self) {
        let definitions = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(self.client.clone());
        let changes = watcher(definitions, watcher::Config::default()).default_backoff().touched_objects();
        let mut changes = pin!(changes);
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.kinds.values().any(|sender| !sender.is_closed()) {
            tokio::select! {
                changed = changes.next() => match changed {
                    Some(Ok(definition)) if self.concerns(&definition.name_any()) => self.settle().await,
                    Some(_) => {}
                    None => { tick.tick().await; }
                },
                _ = tick.tick() => { self.update().await; }
            }
        }
    }

    fn concerns(&self, definition: &str) -> bool {
        self.kinds.keys().any(|kind| definition == format!("{}.{}", kind.plural(), kind.group()))
    }

    /// Looks until the API server serves what the definitions say, for a while.
    async fn settle(&self) {
        for _ in 0..SOON_TIMES {
            if self.update().await {
                return;
            }
            tokio::time::sleep(SOON).await;
        }
    }

    /// True where something is different now.
    async fn update(&self) -> bool {
        let mut different = false;
        for (kind, sender) in self.kinds.iter().filter(|(kind, _)| !built_in(**kind)) {
            match served(&self.client, *kind).await {
                Ok(now) => {
                    different |= sender.send_if_modified(|known| {
                        let changed = *known != now;
                        *known = now;
                        changed
                    });
                }
                // Nobody knows: it stays as it was.
                Err(error) => tracing::debug!(%kind, "cannot tell whether it is served: {error}"),
            }
        }
        different
    }
}

/// The version of a kind that the API server serves, the preferred one first; `None` where it serves none.
async fn served(client: &Client, kind: Kind) -> Result<Option<&'static str>, kube::Error> {
    if built_in(kind) {
        return Ok(kind.versions().first().copied());
    }
    for version in kind.versions() {
        match client.list_api_group_resources(&format!("{}/{version}", kind.group())).await {
            Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural()) => {
                return Ok(Some(version));
            }
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
