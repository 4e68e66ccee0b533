//! Which kinds there are: definitions come and go while this runs.

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    pin::pin,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tombolo_api::Kind;

/// How often to look while nothing changes: whoever may not watch definitions learns of them only so.
const LOOK: Duration = Duration::from_secs(30);
/// From a change of a definition to the first look, which others follow ever later: a new kind is served a moment after it is defined.
const SOON: Duration = Duration::from_millis(200);

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
        let (mut senders, mut groups) = (BTreeMap::new(), Groups::new(&client));
        for kind in kinds {
            senders.insert(*kind, watch::Sender::new(groups.served(*kind).await?));
        }
        Ok(Self { client, kinds: senders })
    }

    /// The version of a kind that is served, from now on.
    pub(super) fn of(&self, kind: Kind) -> watch::Receiver<Option<&'static str>> {
        self.kinds.get(&kind).map_or_else(|| watch::channel(None).1, watch::Sender::subscribe)
    }

    /// Keeps it current, for as long as somebody listens.
    pub(super) async fn run(self, metrics: WatchMetrics) {
        let definitions = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(self.client.clone());
        let events = tombolo_kubernetes::watch::events(definitions, watcher::Config::default());
        let events = Watched::new(&metrics, "CustomResourceDefinition", "kinds").events(events);
        let mut changes = pin!(events.filter_map(|event| std::future::ready(touched(event))));
        let (mut pause, mut next) = (LOOK, Instant::now() + LOOK);
        while self.kinds.values().any(|sender| !sender.is_closed()) {
            tokio::select! {
                Some(changed) = changes.next() => {
                    if self.concerns(&changed.name_any()) {
                        // Those that come together, as all do at the start, are one change.
                        pause = SOON;
                        next = next.min(Instant::now() + SOON);
                    }
                }
                () = sleep_until(next) => {
                    self.update().await;
                    pause = (pause * 2).min(LOOK);
                    next = Instant::now() + pause;
                }
            }
        }
    }

    fn concerns(&self, definition: &str) -> bool {
        self.kinds.keys().any(|kind| definition == format!("{}.{}", kind.plural(), kind.group()))
    }

    /// Looks at all kinds. What cannot be told stays as it was.
    async fn update(&self) {
        let mut groups = Groups::new(&self.client);
        for (kind, sender) in &self.kinds {
            match groups.served(*kind).await {
                Ok(now) => {
                    sender.send_if_modified(|known| std::mem::replace(known, now) != now);
                }
                Err(error) => tracing::debug!(%kind, "cannot tell whether it is served: {error}"),
            }
        }
    }
}

/// What an event is about, if it is about one object.
fn touched<K>(event: Event<K>) -> Option<K> {
    match event {
        Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => Some(object),
        Event::Init | Event::InitDone => None,
    }
}

/// What the API server serves, as of one look: a group is asked for once, whatever the number of its kinds.
struct Groups<'c> {
    client: &'c Client,
    /// By `group/version`, the names of its resources.
    known: HashMap<String, Vec<String>>,
}

impl<'c> Groups<'c> {
    fn new(client: &'c Client) -> Self {
        Self { client, known: HashMap::new() }
    }

    /// The version of a kind that is served, the preferred one first; `None` where none is.
    async fn served(&mut self, kind: Kind) -> Result<Option<&'static str>, kube::Error> {
        if built_in(kind) {
            return Ok(kind.versions().first().copied());
        }
        for version in kind.versions() {
            if self.resources(format!("{}/{version}", kind.group())).await?.iter().any(|name| name == kind.plural()) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    async fn resources(&mut self, group: String) -> Result<&[String], kube::Error> {
        let resources = match self.known.entry(group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let names = match self.client.list_api_group_resources(unknown.key()).await {
                    Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
                    Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
                    Err(error) => return Err(error),
                };
                unknown.insert(names)
            }
        };
        Ok(resources)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::KINDS, *};
    use http::{Request, Response};
    use kube::client::Body;
    use prometheus_client::registry::Registry;
    use serde_json::json;
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    /// An API server that has all definitions, and serves what they say from a moment on; how often it was asked what it serves.
    fn api_server(serves_after: Duration) -> (Client, Arc<AtomicUsize>) {
        let (began, asked) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let counter = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let counter = counter.clone();
            async move {
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
                let named = |kind: &Kind| json!({"metadata": {"name": format!("{}.{}", kind.plural(), kind.group())}});
                let body = if query.contains("sendInitialEvents") {
                    json!({"kind": "Status", "status": "Failure", "code": 422, "message": "no streams"})
                } else if query.contains("watch=") {
                    std::future::pending().await
                } else if path.ends_with("/customresourcedefinitions") {
                    let items: Vec<_> = KINDS.iter().filter(|kind| !built_in(**kind)).map(named).collect();
                    json!({"metadata": {"resourceVersion": "1"}, "items": items})
                } else {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let kinds =
                        KINDS.iter().filter(|kind| began.elapsed() >= serves_after && path.contains(kind.group()));
                    let resource = |kind: &Kind| json!({"name": kind.plural(), "singularName": "", "namespaced": true, "kind": kind.name(), "verbs": []});
                    json!({"groupVersion": "", "resources": kinds.map(resource).collect::<Vec<_>>()})
                };
                let code = body["code"].as_u64().map_or(200, |code| u16::try_from(code).unwrap());
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        (Client::new(service, "default"), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn definitions_that_are_there_from_the_start_cost_few_questions() {
        let (client, asked) = api_server(Duration::ZERO);
        let presence = Presence::look(client, &KINDS).await.unwrap();
        let served = presence.of(Kind::Gateway);
        assert_eq!((*served.borrow(), asked.load(Ordering::Relaxed)), (Some("v1"), 2), "two groups");
        tokio::spawn(presence.run(WatchMetrics::default()));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(asked.load(Ordering::Relaxed) < 20, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn definitions_that_cannot_be_watched_are_counted() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let refused =
                json!({"kind": "Status", "status": "Failure", "code": 403, "message": "no", "reason": "Forbidden"});
            let body = Body::from(refused.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(403).body(body).unwrap())
        });
        let (metrics, mut registry) = (WatchMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let (kind, _listens) = watch::channel(None);
        let client = Client::new(service, "default");
        let presence = Presence { client, kinds: [(Kind::Gateway, kind)].into() };
        tokio::spawn(presence.run(metrics));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let failing = r#"tombolo_watch_failing{kind="CustomResourceDefinition",purpose="kinds"} 1"#;
        assert!(page.lines().any(|line| line == failing), "{page}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_served_later_than_it_is_defined_is_found() {
        let (client, _) = api_server(Duration::from_secs(1));
        let (presence, began) = (Presence::look(client, &KINDS).await.unwrap(), Instant::now());
        let mut served = presence.of(Kind::HttpRoute);
        assert_eq!(*served.borrow(), None);
        tokio::spawn(presence.run(WatchMetrics::default()));
        served.wait_for(|version| *version == Some("v1")).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
