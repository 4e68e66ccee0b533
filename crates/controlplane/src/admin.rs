//! The pages for operators: metrics, readiness, and what is inside.

mod connections;
mod proxy;
mod rejections;

use crate::{ControlPlane, Identity, Stopped, World};
use bytes::Bytes;
use connections::{Pages, accept};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, Uri, body::Incoming};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use tombolo_core::SourceId;

const PAGES: &str = "/metrics\n/healthz/ready\n/debug/snapshot\n/debug/proxies\n/debug/resources?proxy=ID\n/debug/config?proxy=ID&type=TYPE&name=NAME\n/debug/rejections\n/debug/status\n/debug/problems\nPOST /ca/rotate\n";

/// What is counted, by parts that start at different times.
pub type SharedRegistry = Arc<RwLock<Registry>>;

/// What the pages show.
pub struct Admin {
    /// The control plane.
    pub plane: ControlPlane,
    /// Whose root may be rotated here; `None` where the pages are open to others.
    pub identity: Option<Identity>,
    /// Why this process is to be sent nobody, besides what the control plane itself may lack: `None` where nothing speaks against it.
    pub unready: watch::Receiver<Option<&'static str>>,
    /// Whatever else is counted, beside what the control plane counts itself. More may be registered while this is served.
    pub registry: SharedRegistry,
}

/// Serves HTTP/1.1 until it is dropped. Asks nobody who he is.
pub async fn serve(listener: TcpListener, admin: Admin) {
    {
        let mut registry = admin.registry.write().unwrap_or_else(PoisonError::into_inner);
        tombolo_xds::Metrics::register(admin.plane.hub(), &mut registry);
        admin.plane.metrics().register(&mut registry);
    }
    accept(listener, All { admin, posted: Mutex::default() }).await;
}

/// All pages.
struct All {
    admin: Admin,
    /// Held while a posted question is answered.
    posted: Mutex<()>,
}

impl Pages for All {
    type Question = (Method, Uri, rejections::Question);

    async fn read(&self, request: Request<Incoming>) -> Self::Question {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let posted = if uri.path() == rejections::PATH { rejections::read(request).await } else { Ok(None) };
        (method, uri, posted)
    }

    async fn answer(&self, (method, uri, posted): Self::Question) -> Response<Full<Bytes>> {
        let admin = &self.admin;
        respond(match uri.path() {
            "/ca/rotate" if method == Method::POST => rotate(admin.identity.as_ref()).await,
            "/ca/rotate" => text(StatusCode::METHOD_NOT_ALLOWED, "POST begins a rotation of the root\n".to_owned()),
            "/" => text(StatusCode::OK, PAGES.to_owned()),
            "/metrics" => metrics(admin),
            "/healthz/ready" | "/ready" => readiness(&admin.plane, *admin.unready.borrow()),
            "/debug/proxies" => json(Ok(json!(admin.plane.hub().proxies()))),
            "/debug/resources" => proxy::resources(admin.plane.hub(), uri.query()),
            "/debug/config" => proxy::config(admin.plane.hub(), uri.query()).await,
            rejections::PATH => rejections::page(&admin.plane, &self.posted, posted).await,
            "/debug/snapshot" => json(admin.plane.ask(snapshot).await),
            "/debug/status" => json(admin.plane.ask(statuses).await),
            "/debug/problems" => json(admin.plane.ask(|world| json!(world.problems())).await),
            _ => text(StatusCode::NOT_FOUND, format!("there is no such page; there are:\n{PAGES}")),
        })
    }
}

/// Serves readiness and nothing else until it is dropped: for a port that everybody reaches. `unready` is as in [`Admin`].
pub async fn serve_readiness(
    listener: TcpListener,
    plane: ControlPlane,
    unready: watch::Receiver<Option<&'static str>>,
) {
    accept(listener, Readiness { plane, unready }).await;
}

/// The one page that everybody may read.
struct Readiness {
    plane: ControlPlane,
    unready: watch::Receiver<Option<&'static str>>,
}

impl Pages for Readiness {
    type Question = Uri;

    async fn read(&self, request: Request<Incoming>) -> Uri {
        request.uri().clone()
    }

    async fn answer(&self, uri: Uri) -> Response<Full<Bytes>> {
        const ALONE: &str = "there is /ready alone: other pages have a port of their own\n";
        respond(match uri.path() {
            "/healthz/ready" | "/ready" => readiness(&self.plane, *self.unready.borrow()),
            _ => text(StatusCode::NOT_FOUND, ALONE.to_owned()),
        })
    }
}

fn respond((status, kind, body): Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

type Page = (StatusCode, &'static str, String);

fn text(status: StatusCode, body: String) -> Page {
    (status, "text/plain; charset=utf-8", body)
}

fn json(value: Result<Value, Stopped>) -> Page {
    match value {
        Ok(value) => (StatusCode::OK, "application/json", format!("{value:#}\n")),
        Err(stopped) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{stopped}\n")),
    }
}

fn readiness(plane: &ControlPlane, unready: Option<&str>) -> Page {
    let unread = plane.unread();
    let names = || unread.iter().copied().map(SourceId::as_str).collect::<Vec<_>>().join(", ");
    match unready {
        _ if !unread.is_empty() => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("not everything is read yet: {}\n", names()))
        }
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        None => text(StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn rotate(identity: Option<&Identity>) -> Page {
    let Some(identity) = identity else {
        return text(StatusCode::FORBIDDEN, "not here: change spec.ca of the MeshInstallation\n".to_owned());
    };
    match identity.rotate().await {
        Ok(()) => {
            text(StatusCode::OK, "the new root is announced; it signs once every certificate knows it\n".to_owned())
        }
        Err(error) => text(StatusCode::CONFLICT, format!("{error}\n")),
    }
}

fn metrics(admin: &Admin) -> Page {
    let mut body = String::new();
    let registry = admin.registry.read().unwrap_or_else(PoisonError::into_inner);
    match prometheus_client::encoding::text::encode(&mut body, &registry) {
        Ok(()) => (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn snapshot(world: &World) -> Value {
    let mut objects: Vec<_> = world.snapshot().objects().collect();
    objects.sort_by_key(|(key, _)| *key);
    let objects = objects.into_iter().map(|(key, object)| {
        let origin = world.origin(&key.reference()).map(ToString::to_string);
        json!({"object": key.to_string(), "generation": object.metadata().generation, "origin": origin})
    });
    let mut resources = BTreeMap::<&str, BTreeMap<&str, BTreeMap<&str, String>>>::new();
    for (scope, resource) in world.engine().resources() {
        let types = resources.entry(scope.as_str()).or_default();
        types.entry(resource.kind().short()).or_default().insert(resource.name(), resource.version().to_string());
    }
    json!({"objects": objects.collect::<Vec<_>>(), "resources": resources})
}

fn statuses(world: &World) -> Value {
    let statuses = world.statuses().map(|(key, status)| (key.to_string(), status.to_json()));
    Value::Object(statuses.collect())
}
