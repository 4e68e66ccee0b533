//! A replica that begins to lead where the API server refuses what a Gateway needs.

use super::super::{Gateways, Place};
use crate::{
    metrics::WatchMetrics,
    observed::{Observed, Seen},
    status::{StatusMetrics, StatusWriter},
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tombolo_api::{Kind, ObjectKey, manifest};
use tombolo_controlplane::{ControlPlane, Edit, Setup, Sink, Source, SystemClock, Update};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::engine::{Fact, Relation};

const MANIFESTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tombolo}
spec: {controllerName: mesh.tombolo.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop, uid: 7c6f}
spec: {gatewayClassName: tombolo, listeners: [{name: web, port: 80, protocol: HTTP}]}
";
/// Longer than a status waits to be written, so that whoever does not wait for the answer is found out.
const SLOW: Duration = Duration::from_millis(300);

/// All there is, once.
struct Once;

impl Source for Once {
    fn id(&self) -> SourceId {
        SourceId::new("here")
    }

    fn run(self: Box<Self>, sink: Sink) {
        let objects = manifest::read(MANIFESTS.as_bytes(), "test").decoded.into_iter().filter_map(|one| one.object);
        let edits = objects.map(|object| Edit::Apply(object, None)).collect();
        sink.send(Update { edits, synced: true, ..Update::default() }).unwrap();
    }
}

/// An API server that takes its time to refuse a ServiceAccount, and says something else each time.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    refusals: usize,
    /// Of the Gateway, in order.
    statuses: Vec<Value>,
}

impl Api {
    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, body) = api.answer(&parts, &body).await;
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, parts: &http::request::Parts, body: &[u8]) -> (StatusCode, Value) {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let refuse = |code: u16, why: String| {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": why, "reason": if code == 404 { "NotFound" } else { "Forbidden" }});
            (StatusCode::from_u16(code).unwrap(), status)
        };
        if parts.method == Method::GET {
            return match query {
                _ if query.contains("sendInitialEvents") => refuse(422, "lists are not streamed".to_owned()),
                _ if query.contains("watch=") => std::future::pending().await,
                _ if path.ends_with("/front-tombolo") => refuse(404, String::new()),
                _ => (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
            };
        }
        if path.contains("/serviceaccounts/") {
            let refusals = {
                let mut state = self.0.lock().unwrap();
                state.refusals += 1;
                state.refusals
            };
            sleep(SLOW).await;
            return refuse(403, format!("quota is exceeded for the {refusals}. time"));
        }
        let patch: Value = serde_json::from_slice(body).unwrap();
        let status = patch["status"].clone();
        let metadata = json!({"name": "front", "namespace": "shop", "resourceVersion": "9"});
        if path.ends_with("/gateways/front/status") {
            self.0.lock().unwrap().statuses.push(status.clone());
        }
        (StatusCode::OK, json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata, "status": status}))
    }
}

#[tokio::test]
async fn a_new_writer_does_not_say_that_a_gateway_is_well_before_it_has_looked() {
    let here = SourceId::new("here");
    let setup = Setup {
        sources: vec![Box::new(Once)],
        facts: vec![(Relation::Provisioned, Fact::Unit)],
        store: None,
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    let (plane, api, observed) = (ControlPlane::start(setup).unwrap(), Api::default(), Arc::new(Observed::default()));
    plane.ready().await;
    let name = NamespacedName::new("shop", "front");
    let gateway = ObjectKey { source: here, kind: Kind::Gateway, name };
    observed.see(&gateway, || Seen { version: "1".to_owned(), status: Value::Null });
    let (lease, leads) = watch::channel(false);
    let place = Place { namespace: "tombolo-system".into(), revision: "default".into() };
    let gateways = Gateways::new(api.client(), plane.clone(), here, place, leads.clone(), WatchMetrics::default());
    let writer = StatusWriter {
        plane: plane.clone(),
        client: api.client(),
        observed,
        cluster: here,
        judged: gateways.judged(),
        heard: watch::channel(true).1,
        metrics: StatusMetrics::default(),
    };
    tokio::spawn(gateways.run());
    tokio::spawn(writer.run(leads));
    lease.send_replace(true);
    let deadline = Instant::now() + Duration::from_secs(30);
    let (refusals, statuses) = loop {
        {
            let state = api.0.lock().unwrap();
            if state.statuses.iter().any(|status| status.to_string().contains("NoResources")) {
                break (state.refusals, state.statuses.clone());
            }
            assert!(Instant::now() < deadline, "{state:#?}");
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(statuses.len(), 1, "{statuses:#?}");
    assert_eq!(refusals, 1, "what it says itself is no reason to try again");
    plane.stop();
}
