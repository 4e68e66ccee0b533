//! Serves the pages, over HTTP/1.1.

use super::metrics::{Merger, TooLong, from_open_metrics};
use crate::envoy::{Client, ClientError, Control, Phase};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, channel::Channel, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use serde_json::{Map, Value, json};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_util::sync::CancellationToken;

/// Connections at once: this is for people, probes and scrapers.
const CONNECTIONS: usize = 32;
const PAGES: &str = "/healthz/ready\n/healthz/live\n/metrics\n/debug\nPOST /drain\nPOST /quitquitquit\n";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// How a part of the agent is, for `/debug`. Secrets must not be part of it.
pub type Debug = Box<dyn Fn() -> Value + Send + Sync>;

/// What the pages are made of.
pub struct Admin {
    /// Why the proxy is not ready; nothing if it is.
    pub reasons: watch::Receiver<Vec<String>>,
    /// The agent's own metrics.
    pub registry: Registry,
    /// Envoy's administration interface.
    pub envoy: Client,
    /// Envoy's keeper.
    pub control: Control,
    /// How each part is, by name.
    pub debug: Vec<(&'static str, Debug)>,
    /// Cancelled by `/quitquitquit`.
    pub quit: CancellationToken,
}

type Body = BoxBody<Bytes, Broken>;

/// A page that broke off: the reader must not take it for whole.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// By Envoy.
    #[error(transparent)]
    Envoy(#[from] ClientError),
    /// By us.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let admin = Arc::new(admin);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of files: others must end first
            continue;
        };
        let admin = admin.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(admin.clone(), peer, request));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            _ = server.serve_connection(TokioIo::new(stream), service).await; // clients come and go
            drop(place);
        });
    }
}

async fn answer(admin: Arc<Admin>, peer: SocketAddr, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    // Browsers on this machine are not to be made to ask: they say who made them.
    let local = peer.ip().to_canonical().is_loopback() && !request.headers().contains_key(ORIGIN);
    let page = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, PAGES),
        (&Method::GET, "/healthz/live") => text(StatusCode::OK, "live\n"),
        (&Method::GET, "/healthz/ready") => ready(&admin),
        (&Method::GET, "/metrics" | "/stats/prometheus") => {
            metrics(&admin, request.uri().query().unwrap_or_default()).await
        }
        (_, "/debug" | "/drain" | "/quitquitquit") if !local => {
            text(StatusCode::FORBIDDEN, "this page is for this machine only\n")
        }
        (&Method::GET, "/debug") => debug(&admin),
        (&Method::POST, "/drain") => drain(&admin).await,
        (&Method::POST, "/quitquitquit") => {
            admin.quit.cancel();
            text(StatusCode::OK, "ending\n")
        }
        (_, "/drain" | "/quitquitquit") => text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n"),
        _ => text(StatusCode::NOT_FOUND, &format!("there is no such page; there are:\n{PAGES}")),
    };
    Ok(page)
}

fn ready(admin: &Admin) -> Response<Body> {
    let reasons = admin.reasons.borrow();
    match reasons.is_empty() {
        true => text(StatusCode::OK, "ready\n"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, &(reasons.join("\n") + "\n")),
    }
}

fn debug(admin: &Admin) -> Response<Body> {
    let mut parts: Map<String, Value> = admin.debug.iter().map(|(name, part)| ((*name).to_owned(), part())).collect();
    parts.insert("envoy".into(), json!(*admin.control.status().borrow()));
    parts.insert("notReady".into(), json!(*admin.reasons.borrow()));
    whole(StatusCode::OK, "application/json", format!("{:#}\n", Value::Object(parts)))
}

async fn drain(admin: &Admin) -> Response<Body> {
    admin.control.drain().await;
    match admin.control.status().borrow().phase {
        Phase::Left => text(StatusCode::CONFLICT, "the agent ends, and leaves Envoy as it is\n"),
        _ => text(StatusCode::OK, "drained\n"),
    }
}

/// The agent's own metrics, and Envoy's after them where it answers; the query is for Envoy.
async fn metrics(admin: &Admin, query: &str) -> Response<Body> {
    let mut own = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut own, &admin.registry) {
        return text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"));
    }
    let (mut own, mut families) = from_open_metrics(&own);
    let envoys = admin.envoy.metrics(query).await;
    const ANSWERS: &str = "tombolo_agent_envoy_answers";
    own.push_str(&format!("# HELP {ANSWERS} Whether Envoy's metrics are among these.\n# TYPE {ANSWERS} gauge\n"));
    own.push_str(&format!("{ANSWERS} {}\n", u8::from(envoys.is_ok())));
    families.insert(ANSWERS.to_owned());
    let Ok(mut envoys) = envoys else { return whole(StatusCode::OK, METRICS, own) };
    let (mut sender, body) = Channel::<Bytes, Broken>::new(4);
    tokio::spawn(async move {
        let passed = async {
            let mut merger = Merger::new(families);
            // A scraper that went away needs no more.
            _ = sender.send_data(own.into()).await;
            while let Some(piece) = envoys.next().await? {
                let lines = merger.push(&piece)?;
                if sender.send_data(lines).await.is_err() {
                    return Ok(());
                }
            }
            _ = sender.send_data(merger.finish()).await;
            Ok::<_, Broken>(())
        };
        if let Err(error) = passed.await {
            tracing::warn!(%error, "Envoy's metrics break off");
            sender.abort(error);
        }
    });
    page(StatusCode::OK, METRICS, body.boxed())
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    whole(status, TEXT, body.to_owned())
}

fn whole(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    page(status, kind, Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed())
}

fn page(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
