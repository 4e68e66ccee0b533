//! HTTPS for the API server. Whoever else reaches the port costs no more than this allows him.

use super::{
    claim::Claim,
    metrics::AdmissionMetrics,
    review::{self, Reviewed},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Body, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tombolo_controlplane::ControlPlane;
use tombolo_core::SourceId;

/// Where reviews are sent.
pub(super) const PATH: &str = "/validate";
/// Bytes of a request. The API server takes no larger objects; an update has the one before beside the new one, and both
/// are far smaller.
const LARGEST: usize = 3 << 20;
/// Connections at once. An API server has one or a few.
const CONNECTIONS: usize = 64;
/// Requests at once, while they arrive.
const REQUESTS: usize = 16;
/// Reviews at once: a body becomes several times its size while it is read.
const REVIEWS: usize = 2;
/// For a handshake, and for a request to arrive. The API server waits for two seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection is ended after this time, so that nobody keeps all of them.
const AGE: Duration = Duration::from_secs(300);

/// For the control plane to say whose an object is. It has been busy when it takes longer, and more is said rather than less.
const QUESTION: Duration = Duration::from_millis(500);

/// Who is to be warned of what.
pub(super) struct Audience {
    pub(super) plane: ControlPlane,
    /// The source of the objects that are reviewed.
    pub(super) cluster: SourceId,
}

impl Audience {
    /// Whether another implementation serves it.
    async fn is_anothers(&self, claim: Claim) -> bool {
        let cluster = self.cluster;
        let asked = self.plane.ask(move |world| claim.is_anothers(world.snapshot(), cluster));
        matches!(timeout(QUESTION, asked).await, Ok(Ok(true)))
    }
}

/// What all connections share.
struct Shared {
    /// Everybody, where absent.
    audience: Option<Audience>,
    requests: Semaphore,
    reviews: Semaphore,
    metrics: AdmissionMetrics,
}

/// Answers until it is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    audience: Option<Audience>,
    metrics: AdmissionMetrics,
) {
    let (requests, reviews) = (Semaphore::new(REQUESTS), Semaphore::new(REVIEWS));
    let shared = Arc::new(Shared { audience, requests, reviews, metrics });
    let (acceptor, places) = (TlsAcceptor::from(tls), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await; // out of files: others must end first
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        connections.spawn(async move {
            connection(stream, &acceptor, shared).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: &TlsAcceptor, shared: Arc<Shared>) {
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else {
        return shared.metrics.refused("handshake");
    };
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(AGE);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(u32::try_from(REQUESTS).ok());
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    if timeout(AGE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        _ = timeout(PATIENCE, connection).await; // what is under way is answered
    }
}

/// Why a request is not answered with a review: status, the metric's label, and what is said.
struct Refusal(StatusCode, &'static str, String);

impl Shared {
    async fn answer<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        match Box::pin(self.review(request)).await {
            Ok(Reviewed { kind, problems, answer, .. }) => {
                self.metrics.answered(kind, problems, began.elapsed());
                respond(StatusCode::OK, "application/json", serde_json::to_vec(&answer).unwrap_or_default())
            }
            Err(Refusal(status, reason, text)) => {
                self.metrics.refused(reason);
                respond(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
            }
        }
    }

    async fn review<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Result<Reviewed, Refusal>
    where
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        check(&request)?;
        let busy = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many reviews at once".to_owned());
        let _place = self.requests.try_acquire().map_err(busy)?;
        let body = timeout(PATIENCE, Limited::new(request.into_body(), LARGEST).collect()).await;
        let slow = |_| Refusal(StatusCode::REQUEST_TIMEOUT, "slow", "the request did not arrive in time".to_owned());
        let body = body.map_err(slow)?.map_err(|error| unread(&*error))?.to_bytes();
        let failed = || Refusal(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the review failed".to_owned());
        let _turn = self.reviews.acquire().await.map_err(|_| failed())?;
        // Proxies are served by the same threads: a large object is not read between them.
        let reviewed = tokio::task::spawn_blocking(move || review::review(&body)).await.map_err(|_| failed())?;
        let malformed = |error: review::Malformed| Refusal(StatusCode::BAD_REQUEST, "malformed", error.to_string());
        Ok(self.addressed(reviewed.map_err(malformed)?).await)
    }

    /// Who serves an object with another implementation is told nothing.
    async fn addressed(&self, reviewed: Reviewed) -> Reviewed {
        match &self.audience {
            Some(audience) if reviewed.problems > 0 && audience.is_anothers(reviewed.claim.clone()).await => {
                reviewed.silent()
            }
            _ => reviewed,
        }
    }
}

fn check<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    if request.uri().path() != PATH {
        return Err(Refusal(StatusCode::NOT_FOUND, "path", format!("there is only {PATH}")));
    }
    if request.method() != Method::POST {
        let text = format!("POST an AdmissionReview to {PATH}");
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "method", text));
    }
    if request.body().size_hint().lower() > LARGEST as u64 { Err(oversized()) } else { Ok(()) }
}

fn oversized() -> Refusal {
    let text = format!("the request has more than {} MiB: no object is that large", LARGEST >> 20);
    Refusal(StatusCode::PAYLOAD_TOO_LARGE, "oversized", text)
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Refusal {
    if error.is::<LengthLimitError>() {
        return oversized();
    }
    Refusal(StatusCode::BAD_REQUEST, "unread", format!("the request did not arrive whole: {error}"))
}

fn respond(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
