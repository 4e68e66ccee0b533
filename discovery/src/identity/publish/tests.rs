//! What the publisher says of itself, to an API server with two namespaces that lets only one of them have what it asks for.

use super::Publisher;
use crate::metrics::WatchMetrics;
use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tombolo_api::manifest;
use tombolo_controlplane::{ControlPlane, Edit, Setup, Sink, Source, SystemClock, TimedStatus, Update, World};
use tombolo_core::SourceId;

/// One MeshInstallation.
struct Installation(SourceId);

impl Source for Installation {
    fn id(&self) -> SourceId {
        self.0
    }

    fn run(self: Box<Self>, sink: Sink) {
        let yaml = "{apiVersion: mesh.tombolo.dev/v1alpha1, kind: MeshInstallation, metadata: {name: default}}";
        let objects = manifest::read(yaml.as_bytes(), "test").decoded.into_iter().filter_map(|one| one.object);
        let edits = objects.map(|object| Edit::Apply(object, None)).collect();
        sink.send(Update { edits, synced: true, ..Update::default() }).unwrap();
    }
}

fn api_server(full: Arc<AtomicBool>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let full = full.clone();
        async move {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let (code, body) = match *request.method() {
                Method::GET if query.contains("sendInitialEvents") => {
                    (422, json!({"kind": "Status", "status": "Failure", "code": 422, "message": "no streams"}))
                }
                Method::GET if query.contains("watch=") => std::future::pending().await,
                Method::GET if path.ends_with("/namespaces") => {
                    let items = ["shop", "full"].map(|name| json!({"metadata": {"name": name}}));
                    (200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
                }
                Method::GET => (200, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
                _ if path.contains("/full/") && full.load(Relaxed) => (
                    403,
                    json!({"kind": "Status", "status": "Failure", "code": 403, "message": "exceeded quota", "reason": "Forbidden"}),
                ),
                _ => made(path),
            };
            let body = Body::from(body.to_string().into_bytes());
            let code = StatusCode::from_u16(code).unwrap();
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Client::new(service, "default")
}

/// As it was asked for, whichever of the two it is.
fn made(path: &str) -> (u16, Value) {
    let namespace = path.split('/').nth(4).unwrap();
    let managed = json!([{"manager": "tombolo-writer", "operation": "Update"}]);
    let metadata = json!({"name": "any", "namespace": namespace, "resourceVersion": "2", "managedFields": managed});
    (201, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"root-cert.pem": "roots"}}))
}

/// `STATUS REASON: MESSAGE` of the condition, once that is so.
async fn until(plane: &ControlPlane, so: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = |world: &World| {
            let status = world.status(&world.installation_key().unwrap()).map(TimedStatus::to_json).unwrap_or_default();
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let condition = conditions.into_iter().find(|condition| condition["type"] == "RootCertificatePublished");
            condition.map_or_else(String::new, |c| format!("{} {}: {}", c["status"], c["reason"], c["message"]))
        };
        let said = plane.ask(said).await.unwrap();
        if so(&said) {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_refused_is_a_condition_until_it_is_written_or_another_publishes() {
    let setup = Setup {
        sources: vec![Box::new(Installation(SourceId::new("settings")))],
        facts: Vec::new(),
        store: None,
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    let (plane, full) = (ControlPlane::start(setup).unwrap(), Arc::new(AtomicBool::new(true)));
    plane.ready().await;
    let (lease, writer) = watch::channel(true);
    let (_roots, bundles) = watch::channel("roots".into());
    let publisher = Publisher {
        client: api_server(full.clone()),
        plane: plane.clone(),
        bundles,
        writer,
        watches: WatchMetrics::default(),
    };
    tokio::spawn(publisher.run());
    until(&plane, |said| {
        said.starts_with("\"False\" \"Refused\": \"2 ConfigMaps (full/tombolo-ca-root-cert, full/istio-ca-root-cert)")
            && said.contains("exceeded quota")
    })
    .await;
    full.store(false, Relaxed);
    until(&plane, |said| said.starts_with("\"True\" \"Published\"")).await;
    lease.send_replace(false);
    until(&plane, str::is_empty).await;
    plane.stop();
}
