//! The way to the control plane: how it is reached is [`Dial`]'s, what is said there is not.

use super::wire::{Decoder, Request, Response, WireError};
use http::{HeaderMap, HeaderValue, Method, Uri, header, uri::Authority};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tombolo_proto::agent::DELTA_ADS;

/// Requests that may wait to be written. A control plane that takes none of them in is as good as gone.
const REQUESTS: usize = 1024;
/// Responses that are read ahead.
const RESPONSES: usize = 4;
/// What a response may be ahead of us: enough for the speed of a far network.
const WINDOW: u32 = 1 << 20;

/// Opens streams to one control plane, with whatever it takes: addresses, TLS, proof of who we are.
pub trait Dial: Send + Sync + 'static {
    /// Opens a stream. Called again, after a pause, when it fails or ends; each call may try another address.
    ///
    /// # Errors
    /// No address answers, or none that can be trusted.
    fn dial(&self) -> Pin<Box<dyn Future<Output = Result<Upstream, UpstreamError>> + Send + '_>>;
}

/// An open delta ADS stream. Dropping either end ends it.
#[derive(Debug)]
pub struct Upstream {
    /// What goes out.
    pub requests: mpsc::Sender<Request>,
    /// What comes in. An error is the last item.
    pub responses: mpsc::Receiver<Result<Response, UpstreamError>>,
}

/// Why there is no stream to the control plane, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    /// There was no answer in time.
    #[error("the control plane did not answer within {0:?}")]
    Timeout(Duration),
    /// It ended the stream with this gRPC status.
    #[error("the control plane ended the stream: {message} (gRPC status {code})")]
    Status {
        /// See gRPC's status codes.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The connection broke.
    #[error("the connection to the control plane broke: {0}")]
    Broken(String),
    /// It sent what cannot be read.
    #[error("the control plane sent what cannot be read: {0}")]
    Unreadable(#[from] WireError),
    /// It reads nothing.
    #[error("the control plane takes no requests in")]
    Stalled,
    /// The agent ended the stream.
    #[error("the agent ended the stream to begin anew")]
    Restarted,
}

impl UpstreamError {
    /// One word, for a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Status { code: 7 | 16, .. } => "refused",
            Self::Status { .. } => "ended",
            Self::Broken(_) => "broken",
            Self::Unreadable(_) => "unreadable",
            Self::Stalled => "stalled",
            Self::Restarted => "restarted",
        }
    }
}

/// Opens a stream over a connection, which is the stream's alone.
///
/// `headers` come with the request: `authorization`, say. Messages of more than `limit` bytes end the stream.
///
/// # Errors
/// The other side does not speak HTTP/2.
pub async fn over<I>(io: I, authority: Authority, headers: HeaderMap, limit: usize) -> Result<Upstream, UpstreamError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unreachable = |error: &dyn std::error::Error| UpstreamError::Unreachable(chain(error));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|e| unreachable(&e))?;
    tokio::spawn(connection);
    let (requests, outgoing) = mpsc::channel::<Request>(REQUESTS);
    let body =
        StreamBody::new(ReceiverStream::new(outgoing).map(|request| Ok::<_, Infallible>(Frame::data(request.frame()))));
    let head = sender.send_request(post(authority, headers, body).map_err(|e| unreachable(&e))?);
    let (incoming, responses) = mpsc::channel(RESPONSES);
    tokio::spawn(async move {
        let reading = async {
            let (head, body) = head.await.map_err(|error| UpstreamError::Broken(chain(&error)))?.into_parts();
            read(&head.headers, body, limit, &incoming).await
        };
        let ended = tokio::select! {
            Err(error) = reading => error,
            () = incoming.closed() => return,
        };
        _ = incoming.send(Err(ended)).await;
        // A connection without anyone who may send requests on it is closed.
        drop(sender);
    });
    Ok(Upstream { requests, responses })
}

fn post<B>(authority: Authority, headers: HeaderMap, body: B) -> http::Result<http::Request<B>> {
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query(DELTA_ADS).build()?;
    let mut request = http::Request::builder().method(Method::POST).uri(uri).body(body)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    Ok(request)
}

/// Reads responses until the stream ends, which is an error whatever its status.
async fn read(
    head: &HeaderMap,
    mut body: Incoming,
    limit: usize,
    out: &mpsc::Sender<Result<Response, UpstreamError>>,
) -> Result<Infallible, UpstreamError> {
    let mut decoder = Decoder::new(limit);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamError::Broken(chain(&error)))?;
        match frame.into_data() {
            Ok(data) => decoder.push(&data),
            Err(frame) => return Err(frame.trailers_ref().map_or_else(|| status(head), status)),
        }
        while let Some(response) = decoder.next()? {
            if out.send(Ok(response)).await.is_err() {
                return Err(UpstreamError::Restarted);
            }
        }
    }
    Err(status(head))
}

fn status(headers: &HeaderMap) -> UpstreamError {
    let text =
        |name| headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status").and_then(|code| code.parse().ok()) {
        Some(code) => UpstreamError::Status { code, message: text("grpc-message").unwrap_or_default() },
        None => UpstreamError::Broken("the stream ended without a gRPC status".to_owned()),
    }
}

/// An error with what caused it: HTTP's errors say little by themselves.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
