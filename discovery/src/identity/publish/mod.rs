//! The root certificate in every namespace, where agents read it before anything else. Done by the replica that writes.

mod ledger;
mod standing;
#[cfg(test)]
mod tests;

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use ledger::{KEY, Ledger, MANAGER, NAMES, Write};
use serde_json::{Value, json};
use standing::Refused;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tombolo_api::ObjectKey;
use tombolo_controlplane::{ControlPlane, Finding, World};
use tombolo_kubernetes::retry::Failure;

/// Writes at once.
const TOGETHER: usize = 8;
/// Before what could not be written is tried again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Who finds how it stands.
const BY: &str = "roots";

/// Keeps the ConfigMaps.
pub(crate) struct Publisher {
    pub(crate) client: Client,
    pub(crate) plane: ControlPlane,
    /// The roots.
    pub(crate) bundles: watch::Receiver<Arc<str>>,
    /// Whether it is this replica that writes.
    pub(crate) writer: watch::Receiver<bool>,
    /// How its watches are counted.
    pub(crate) watches: WatchMetrics,
}

/// What was seen.
enum News {
    Namespace(Event<PartialObjectMeta<Namespace>>),
    Map(usize, Event<ConfigMap>),
}

impl Publisher {
    /// Publishes whenever it is this replica's duty, until nobody can say any more whether it is.
    pub(crate) async fn run(self) {
        let mut writer = self.writer.clone();
        while writer.wait_for(|writes| *writes).await.is_ok() {
            tokio::select! {
                () = self.publish() => {}
                _ = writer.wait_for(|writes| !writes) => {}
            }
            // Whoever publishes now says how it stands.
            self.tell(|_| Vec::new()).await;
        }
    }

    async fn publish(&self) {
        let mut news = pin!(self.news().ready_chunks(256));
        let mut bundles = self.bundles.clone();
        let (mut ledger, mut told, mut pause) = (Ledger::default(), None, None);
        loop {
            ledger.roots(bundles.borrow_and_update().clone());
            let failed = self.write(&mut ledger).await;
            let standing = ledger.standing();
            if let Some(standing) = standing.filter(|standing| told.as_ref() != Some(standing)) {
                self.tell(|key| vec![standing.finding(key)]).await;
                told = Some(standing);
            }
            pause = failed.then(|| pause.map_or(AGAIN.0, |pause: Duration| (pause * 2).min(AGAIN.1)));
            tokio::select! {
                chunk = news.next() => {
                    let Some(chunk) = chunk else { return };
                    chunk.into_iter().for_each(|news| take(&mut ledger, news));
                }
                changed = bundles.changed() => if changed.is_err() { return },
                () = sleep(jittered(pause.unwrap_or_default())), if pause.is_some() => {}
            }
        }
    }

    fn news(&self) -> impl Stream<Item = News> + Send + use<> {
        let namespaces = Api::<PartialObjectMeta<Namespace>>::all(self.client.clone());
        let namespaces = tombolo_kubernetes::watch::events(namespaces, watcher::Config::default());
        let watched = |kind| Watched::new(&self.watches, kind, "root certificates");
        let mut all = vec![watched("Namespace").events(namespaces).map(News::Namespace).boxed()];
        for (which, name) in NAMES.iter().enumerate() {
            let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
            let maps = tombolo_kubernetes::watch::events(Api::<ConfigMap>::all(self.client.clone()), config);
            all.push(watched("ConfigMap").events(maps).map(move |event| News::Map(which, event)).boxed());
        }
        stream::select_all(all)
    }

    /// Writes what is due. True where something could not be written.
    async fn write(&self, ledger: &mut Ledger) -> bool {
        let bundle = self.bundles.borrow().clone();
        let writes = stream::iter(ledger.due()).map(|write| {
            let request = put(self.client.clone(), write.clone(), bundle.clone());
            async move { (write, request.await) }
        });
        let outcomes: Vec<_> = writes.buffer_unordered(TOGETHER).collect().await;
        let mut failed = false;
        for (Write { place, base }, outcome) in outcomes {
            match outcome {
                Ok(map) => {
                    ledger.see(place.1, &map);
                    if base.is_some() {
                        ledger.put_back(place);
                    }
                }
                Err(error) if base.is_none() && is_closed(&error) => ledger.closed(&place.0),
                // Somebody was faster: the watch says what is there now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => failed = true,
                Err(error) => {
                    failed = true;
                    let (namespace, name, failure) = (place.0.clone(), NAMES[place.1], Failure::of(&error));
                    let refused = Refused { why: error.to_string(), fix: failure.fix() };
                    if !failure.needs_people() || ledger.refused(place, refused) {
                        tracing::warn!(
                            "ConfigMap {namespace}/{name}, with the root certificate, cannot be written, trying again: {error}"
                        );
                    }
                }
            }
        }
        failed
    }

    /// Says of the MeshInstallation what is found.
    async fn tell(&self, found: impl FnOnce(&ObjectKey) -> Vec<Finding>) {
        let Ok(Some(key)) = self.plane.ask(World::installation_key).await else { return };
        let found = found(&key);
        for problem in found.iter().filter_map(|finding| finding.problem.as_ref()) {
            tracing::warn!("{problem}");
        }
        _ = self.plane.observe(BY, key, found).await; // stopped: nobody reads it
    }
}

fn take(ledger: &mut Ledger, news: News) {
    match news {
        News::Namespace(event) => ledger.namespace(event),
        News::Map(which, event) => ledger.map(which, event),
    }
}

async fn put(client: Client, write: Write, bundle: Arc<str>) -> kube::Result<ConfigMap> {
    let (namespace, name) = (&*write.place.0, NAMES[write.place.1]);
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let manager = Some(MANAGER.to_owned());
    match write.base {
        Some(version) => {
            let patch = document(json!({"resourceVersion": version}), &bundle);
            let params = PatchParams { field_manager: manager, ..PatchParams::default() };
            api.patch(name, &params, &Patch::Merge(patch)).await
        }
        // Not applied: what somebody else makes in the same moment stays theirs.
        None => {
            let map = document(json!({"name": name, "namespace": namespace}), &bundle);
            let map = serde_json::from_value(map).map_err(kube::Error::SerdeError)?;
            api.create(&PostParams { field_manager: manager, ..PostParams::default() }, &map).await
        }
    }
}

fn document(mut metadata: Value, bundle: &str) -> Value {
    metadata["labels"] = json!({"app.kubernetes.io/managed-by": "tombolo", "app.kubernetes.io/part-of": "tombolo"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: bundle}})
}

/// The namespace is gone, or takes nothing new as it is being deleted.
fn is_closed(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let terminating =
        || status.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == "NamespaceTerminating"));
    status.code == 404 || (status.code == 403 && (terminating() || status.message.contains("being terminated")))
}

/// Up to a fifth longer.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + 0.2 * fastrand::f64())
}
