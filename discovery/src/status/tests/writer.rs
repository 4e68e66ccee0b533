use super::api::{Api, State};
use crate::{
    observed::{Observed, Seen},
    status::{StatusMetrics, StatusWriter},
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tombolo_api::{Kind, ObjectKey, manifest};
use tombolo_controlplane::{ControlPlane, Edit, Setup, Sink, Source, SystemClock, Update};
use tombolo_core::{NamespacedName, SourceId};

const CLASS: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/tombolo";
const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/front";
const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart";
const MANIFESTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tombolo}
spec: {controllerName: mesh.tombolo.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec: {gatewayClassName: tombolo, listeners: [{name: web, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec: {parentRefs: [{name: front}], hostnames: [a.example.com]}
";

/// A source that says what it is told to.
pub(super) struct Told(pub(super) SourceId, pub(super) mpsc::Receiver<Update>);

impl Source for Told {
    fn id(&self) -> SourceId {
        self.0
    }

    fn run(mut self: Box<Self>, sink: Sink) {
        while let Some(update) = self.1.blocking_recv() {
            if sink.send(update).is_err() {
                return;
            }
        }
    }
}

pub(super) fn edits(manifests: &str) -> Vec<Edit> {
    let objects = manifest::read(manifests.as_bytes(), "test").decoded.into_iter().filter_map(|one| one.object);
    objects.map(|object| Edit::Apply(object, None)).collect()
}

fn key(kind: Kind, name: NamespacedName) -> ObjectKey {
    ObjectKey { source: SourceId::new("here"), kind, name }
}

fn paths() -> [(&'static str, ObjectKey); 3] {
    [
        (CLASS, key(Kind::GatewayClass, NamespacedName::new("", "tombolo"))),
        (GATEWAY, key(Kind::Gateway, NamespacedName::new("shop", "front"))),
        (ROUTE, key(Kind::HttpRoute, NamespacedName::new("shop", "cart"))),
    ]
}

/// A control plane, an API server, and the watch between them, which is as far as it is told to be.
struct World {
    api: Api,
    observed: Arc<Observed>,
    plane: ControlPlane,
    says: mpsc::Sender<Update>,
    lease: watch::Sender<bool>,
    metrics: Registry,
    writer: JoinHandle<()>,
}

impl World {
    /// Everything is there, nothing has a status, and nobody writes.
    async fn new() -> Self {
        let (says, told) = mpsc::channel(9);
        let here = SourceId::new("here");
        let setup = Setup {
            sources: vec![Box::new(Told(here, told))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let plane = ControlPlane::start(setup).unwrap();
        let (api, observed, metrics) = (Api::default(), Arc::new(Observed::default()), StatusMetrics::default());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let writer = StatusWriter {
            plane: plane.clone(),
            client: api.client(),
            observed: observed.clone(),
            cluster: here,
            judged: watch::channel(true).1,
            heard: watch::channel(true).1,
            metrics,
        };
        let (lease, held) = watch::channel(false);
        let writer = tokio::spawn(writer.run(held));
        let world = Self { api, observed, plane, says, lease, metrics: registry, writer };
        paths().iter().for_each(|(path, _)| drop(world.api.state().put(path, &Value::Null)));
        world.catch_up();
        world.say(Update { edits: edits(MANIFESTS), synced: true, ..Update::default() }).await;
        world.plane.ready().await;
        world
    }

    async fn say(&self, update: Update) {
        self.says.send(update).await.unwrap();
    }

    /// The watch shows all there is.
    fn catch_up(&self) {
        for (path, key) in paths() {
            match self.api.state().objects.get(path).cloned() {
                Some(object) => {
                    let version = object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
                    self.observed.see(&key, || Seen { version, status: object["status"].clone() });
                }
                None => self.observed.forget(&key),
            }
        }
    }

    /// Until nothing that the writer has heard of is left to do.
    async fn settled(&self) {
        self.api.until("settled", |_| self.count("tombolo_status_waiting") == 0).await;
    }

    fn count(&self, metric: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        let values = text.lines().filter(|line| line.starts_with(metric));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

fn accepted(state: &State, path: &str) -> bool {
    let status = &state.objects[path]["status"];
    let conditions = [&status["conditions"], &status["parents"][0]["conditions"]];
    conditions.iter().any(|all| all[0]["type"] == "Accepted" && all[0]["status"] == "True")
}

fn all_accepted(state: &State) -> bool {
    paths().iter().all(|(path, _)| accepted(state, path))
}

#[tokio::test]
async fn whoever_holds_the_lease_writes_each_status_once() {
    let world = World::new().await;
    assert_eq!(world.api.state().asked, 0);
    world.lease.send_replace(true);
    world.api.until("written", all_accepted).await;
    world.catch_up();
    // Whoever is next finds it all done, but for what somebody undid.
    world.lease.send_replace(false);
    world.api.until("stopped", |_| world.count("tombolo_status_writer") == 0).await;
    world.lease.send_replace(true);
    world.api.state().put(CLASS, &Value::Null);
    world.catch_up();
    world.api.until("put back", all_accepted).await;
    world.settled().await;
    assert_eq!((world.api.state().asked, world.count("tombolo_status_writes")), (4, 4));
    assert_eq!(world.api.state().objects[GATEWAY]["status"]["listeners"][0]["attachedRoutes"], 1);
    let features = world.api.state().objects[CLASS]["status"]["supportedFeatures"].clone();
    assert!(features.as_array().unwrap().is_sorted_by_key(|feature| feature["name"].as_str()));
    drop(world.lease);
    world.writer.await.unwrap();
}

#[tokio::test]
async fn one_that_was_outrun_merges_with_what_is_newer() {
    let world = World::new().await;
    let other = json!({"parents": [{"controllerName": "example.com/other", "parentRef": {"name": "front"}}]});
    world.api.state().put(ROUTE, &other);
    world.lease.send_replace(true);
    world.api.until("outrun", |_| world.count("tombolo_status_conflicts") == 1).await;
    world.api.until("written", |state| accepted(state, GATEWAY)).await;
    assert_eq!(world.api.state().objects[ROUTE]["status"], other);
    world.catch_up();
    world.api.until("merged", |state| state.objects[ROUTE]["status"]["parents"].as_array().unwrap().len() == 2).await;
    let state = world.api.state();
    assert_eq!(state.objects[ROUTE]["status"]["parents"][0], other["parents"][0]);
    assert_eq!(state.asked, 4);
}

#[tokio::test]
async fn what_is_undone_is_put_back_and_what_is_no_longer_ours_taken_back() {
    let world = World::new().await;
    world.lease.send_replace(true);
    world.api.until("written", all_accepted).await;
    world.api.state().put(GATEWAY, &json!({"conditions": [{"type": "example.com/Audited", "status": "True"}]}));
    world.catch_up();
    world
        .api
        .until("put back", |state| state.objects[GATEWAY]["status"]["conditions"].as_array().unwrap().len() == 3)
        .await;
    world
        .say(Update { edits: edits(&MANIFESTS.replace("name: front}]", "name: elsewhere}]")), ..Update::default() })
        .await;
    world.api.until("taken back", |state| state.objects[ROUTE]["status"]["parents"] == json!([])).await;
}

#[tokio::test]
async fn an_object_that_goes_is_forgotten() {
    let world = World::new().await;
    world.api.state().objects.remove(ROUTE);
    world.lease.send_replace(true);
    world.api.until("written", |state| accepted(state, GATEWAY) && accepted(state, CLASS)).await;
    world.catch_up();
    world.api.until("asked", |state| state.asked == 3).await;
    world.settled().await;
    assert_eq!(world.count("tombolo_status_errors"), 0);
}

#[tokio::test]
async fn an_api_server_that_fails_is_asked_again() {
    let world = World::new().await;
    world.api.state().refusals = [503, 500, 429].into();
    world.lease.send_replace(true);
    world.api.until("written", all_accepted).await;
    assert_eq!(world.count("tombolo_status_errors"), 3);
}

#[tokio::test]
async fn what_the_api_server_does_not_keep_is_not_written_for_ever() {
    let world = World::new().await;
    world.api.state().unknown = Some("supportedFeatures");
    world.lease.send_replace(true);
    world.api.until("written", all_accepted).await;
    world.api.state().put(GATEWAY, &Value::Null);
    world.catch_up();
    world.api.until("put back", all_accepted).await;
    assert_eq!((world.api.state().asked, world.count("tombolo_status_errors")), (4, 1));
}
