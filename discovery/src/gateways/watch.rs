//! Watching what is made for Gateways, and what parametrises it.

use super::made::MadeKind;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use std::pin::pin;
use tokio::sync::mpsc;
use tombolo_core::NamespacedName;
use tombolo_kubernetes::watch::WatchBackoff;
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
pub(super) fn start(client: &Client, told: &mpsc::Sender<News>) {
    let config = || watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED_BY}"));
    for kind in MadeKind::ALL {
        let api = Api::<DynamicObject>::all_with(client.clone(), &kind.resource());
        let events = watcher(api, config()).backoff(WatchBackoff::default());
        tokio::spawn(tell(kind.name(), events, told.clone(), move |event| Some(News::Made(kind, Box::new(event)))));
    }
    let api = Api::<PartialObjectMeta<ConfigMap>>::all(client.clone());
    let events = watcher(api, watcher::Config::default().fields(NO_PARAMETERS)).backoff(WatchBackoff::default());
    let parameters = |event: Event<_>| match event {
        Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => {
            Some(News::Parameters(named(&object)))
        }
        Event::Init | Event::InitDone => None,
    };
    tokio::spawn(tell("ConfigMap", events, told.clone(), parameters));
}

async fn tell<T>(
    kind: &'static str,
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
    told: mpsc::Sender<News>,
    news: impl Fn(Event<T>) -> Option<News> + Send,
) {
    let mut events = pin!(events);
    let mut failing = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = told.closed() => return,
        };
        match event {
            Some(Ok(event)) => {
                failing = false;
                if let Some(news) = news(event)
                    && told.send(news).await.is_err()
                {
                    return;
                }
            }
            Some(Err(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(kind, "what is made for Gateways cannot be watched, trying again: {error}");
                }
            }
            None => return,
        }
    }
}

fn named(object: &impl ResourceExt) -> NamespacedName {
    NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any())
}
