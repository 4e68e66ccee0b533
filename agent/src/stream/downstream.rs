//! Envoy's side: a gRPC server on a Unix socket, for one Envoy. The newest stream is the one that counts.

use super::wire::{Decoder, Request, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    collections::VecDeque,
    convert::Infallible,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
};
use tombolo_proto::agent::DELTA_ADS;

/// Responses that may wait to be written. An Envoy that takes none of them in is as good as gone.
const RESPONSES: usize = 256;
/// Connections at once: one Envoy's, and that of the one that it replaces.
const CONNECTIONS: usize = 16;
/// gRPC's status `UNIMPLEMENTED`.
const UNIMPLEMENTED: u16 = 12;

/// What happens on Envoy's side, by stream.
#[derive(Debug)]
pub(super) enum Downstream {
    Opened(u64, mpsc::Sender<Outgoing>),
    Request(u64, Request),
    Closed(u64),
}

/// What is written to Envoy.
#[derive(Debug)]
pub(super) enum Outgoing {
    Response(Response),
    /// The stream's end, with a gRPC status and a message.
    End(u16, String),
}

/// Listens on a socket that only its owner may open. One that is there is replaced: its agent is gone.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    // It has its name only once it has its mode.
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Serves the listener for ever. Dropping the future closes all connections.
pub(super) async fn serve(listener: UnixListener, limit: usize, events: mpsc::Sender<Downstream>) {
    let streams = Arc::new(AtomicU64::new(0));
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((io, _)) => {
                let serving = serve_connection(io, limit, events.clone(), streams.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("Envoy's connection cannot be accepted: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(io: UnixStream, limit: usize, events: mpsc::Sender<Downstream>, streams: Arc<AtomicU64>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (events, id) = (events.clone(), streams.fetch_add(1, Ordering::Relaxed));
        async move { Ok::<_, Infallible>(respond(request, id, limit, events).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(8);
    if let Err(error) = builder.serve_connection(TokioIo::new(io), service).await {
        tracing::debug!("Envoy's connection ended: {error}");
    }
}

async fn respond(
    request: http::Request<Incoming>,
    id: u64,
    limit: usize,
    events: mpsc::Sender<Downstream>,
) -> http::Response<Outbox> {
    let (to_envoy, queue) = mpsc::channel(RESPONSES);
    if request.uri().path() == DELTA_ADS {
        if events.send(Downstream::Opened(id, to_envoy.clone())).await.is_ok() {
            tokio::spawn(read(request.into_body(), id, limit, events, to_envoy));
        }
    } else {
        let message = format!("{} is not served here", request.uri().path());
        _ = to_envoy.try_send(Outgoing::End(UNIMPLEMENTED, message));
    }
    let mut response = http::Response::new(Outbox { queue, frames: VecDeque::new(), ended: false });
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Reads requests until Envoy has none any more.
async fn read(
    mut body: Incoming,
    id: u64,
    limit: usize,
    events: mpsc::Sender<Downstream>,
    to_envoy: mpsc::Sender<Outgoing>,
) {
    let mut decoder = Decoder::new(limit);
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { break };
        decoder.push(&data);
        loop {
            match decoder.next() {
                Ok(Some(request)) => _ = events.send(Downstream::Request(id, request)).await,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("Envoy's stream is ended: {error}");
                    _ = to_envoy.try_send(Outgoing::End(3, error.to_string()));
                    _ = events.send(Downstream::Closed(id)).await;
                    return;
                }
            }
        }
    }
    _ = events.send(Downstream::Closed(id)).await;
}

/// A stream's responses, as HTTP/2 asks for them.
struct Outbox {
    queue: mpsc::Receiver<Outgoing>,
    frames: VecDeque<Bytes>,
    ended: bool,
}

impl Body for Outbox {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(frame))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.queue.poll_recv(cx)) {
                Some(Outgoing::Response(response)) => self.frames = response.frames().into(),
                Some(Outgoing::End(code, message)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(code, &message)))));
                }
                None => {
                    self.ended = true;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(1, "the agent has ended the stream")))));
                }
            }
        }
    }
}

fn trailers(code: u16, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), code.into())]);
    // What cannot stand in a header is left out: the code says enough.
    if let Ok(message) = HeaderValue::from_str(message) {
        trailers.insert("grpc-message", message);
    }
    trailers
}
