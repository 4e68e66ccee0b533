//! Watching what is made for Gateways, and what parametrises it.

use super::made::MadeKind;
use crate::{metrics::WatchMetrics, watched::Watched};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use std::pin::pin;
use tokio::sync::mpsc;
use tombolo_core::NamespacedName;
use tombolo_translate::gateway_api::{MANAGED_BY, MANAGED_LABEL};

/// ConfigMaps that every namespace has: not worth hearing of.
const NO_PARAMETERS: &str =
    "metadata.name!=kube-root-ca.crt,metadata.name!=istio-ca-root-cert,metadata.name!=tombolo-ca-root-cert";

/// What a watch has to say.
pub(super) enum News {
    /// Of an object that was made for a Gateway.
    Made(MadeKind, Box<Event<DynamicObject>>),
    /// A ConfigMap is new, different or gone.
    Parameters(NamespacedName),
}

/// Watches until nobody listens.
pub(super) fn start(client: &Client, metrics: &WatchMetrics, told: &mpsc::Sender<News>) {
    let config = || watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED_BY}"));
    for kind in MadeKind::ALL {
        let api = Api::<DynamicObject>::all_with(client.clone(), &kind.resource());
        let events = tombolo_kubernetes::watch::events(api, config());
        let events = Watched::new(metrics, kind.name(), "gateways").events(events);
        tokio::spawn(tell(events, told.clone(), move |event| Some(News::Made(kind, Box::new(event)))));
    }
    let api = Api::<PartialObjectMeta<ConfigMap>>::all(client.clone());
    let events = tombolo_kubernetes::watch::events(api, watcher::Config::default().fields(NO_PARAMETERS));
    let parameters = |event: Event<_>| match event {
        Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => {
            Some(News::Parameters(named(&object)))
        }
        Event::Init | Event::InitDone => None,
    };
    let events = Watched::new(metrics, "ConfigMap", "parameters").events(events);
    tokio::spawn(tell(events, told.clone(), parameters));
}

async fn tell<T>(
    events: impl Stream<Item = Event<T>> + Send,
    told: mpsc::Sender<News>,
    news: impl Fn(Event<T>) -> Option<News> + Send,
) {
    let mut events = pin!(events);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = told.closed() => return,
        };
        let Some(event) = event else { return };
        if let Some(news) = news(event)
            && told.send(news).await.is_err()
        {
            return;
        }
    }
}

fn named(object: &impl ResourceExt) -> NamespacedName {
    NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any())
}
