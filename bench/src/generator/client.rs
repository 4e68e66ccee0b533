//! One client's connection: TCP and HTTP/2 around a [`World`]'s client.

use super::{session::SessionError, world::World};
use crate::clock::Moment;
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture},
};
use http::{HeaderMap, Request, StatusCode, header};
use std::{cell::RefCell, convert::Infallible, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{net::TcpStream, sync::Notify};

/// The clients, and the bell that is rung when one of them has got somewhere.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) world: RefCell<World>,
    pub(super) news: Notify,
}

impl Shared {
    /// Wakes what waits, where there is news.
    fn tell(&self) {
        if self.world.borrow_mut().take_news() {
            self.news.notify_one();
        }
    }
}

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("HTTP/2: {0}")]
    Http(#[from] h2::Error),
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the server ended the stream: {0}")]
    Ended(String),
    #[error("the server has too much to do: {0}")]
    Busy(String),
    #[error("the server closed the connection")]
    Closed,
    #[error(transparent)]
    Protocol(#[from] SessionError),
}

/// Envoy 1.40's settings, as it sends them.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// How long Envoy waits where a stream has failed, as far as chance has it: up to the first at first, twice as long each time, and the second at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// gRPC's `RESOURCE_EXHAUSTED` and `UNAVAILABLE`.
const BUSY: [&str; 2] = ["8", "14"];
const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Connects a client and keeps it going. It ends only with an error, which is noted; a server that has too much to do to begin is asked again,
/// as Envoy does.
pub(super) async fn run(shared: Rc<Shared>, nth: usize, address: SocketAddr) {
    let mut most = WAITS.0;
    let error = loop {
        let Err(error) = connect(&shared, nth, address).await;
        if !matches!(error, ClientError::Busy(_)) {
            break error;
        }
        tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
        most = (most * 2).min(WAITS.1);
    };
    shared.world.borrow_mut().fail(nth, &error.to_string());
    shared.tell();
}

async fn connect(shared: &Shared, nth: usize, address: SocketAddr) -> Result<Infallible, ClientError> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .enable_push(false)
        .handshake::<_, Bytes>(socket)
        .await?;
    let mut sender = sender.ready().await?;
    let request = Request::post(format!("http://{address}{METHOD}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())
        .map_err(|_| ClientError::Closed)?;
    let (response, requests) = sender.send_request(request, false)?;
    // One task reads the socket and handles what was read, in this order: no hand-over between tasks delays what is measured.
    tokio::select! {
        biased;
        closed = connection => Err(closed.err().map_or(ClientError::Closed, ClientError::Http)),
        ended = stream(shared, nth, response, requests) => ended,
    }
}

async fn stream(
    shared: &Shared,
    nth: usize,
    response: ResponseFuture,
    mut requests: SendStream<Bytes>,
) -> Result<Infallible, ClientError> {
    let first = shared.world.borrow_mut().open(nth);
    send(shared, nth, &mut requests, first)?;
    let response = response.await?;
    if response.status() != StatusCode::OK {
        return Err(ClientError::Status(response.status()));
    }
    if response.headers().contains_key("grpc-status") {
        return Err(ended(response.headers(), false));
    }
    let (mut body, mut begun) = (response.into_body(), false);
    while let Some(piece) = body.data().await {
        begun = true;
        let (at, piece) = (Moment::now(), piece?);
        body.flow_control().release_capacity(piece.len())?;
        let out = shared.world.borrow_mut().receive(nth, &piece, at)?;
        send(shared, nth, &mut requests, out)?;
    }
    Err(end(body, begun).await)
}

fn send(shared: &Shared, nth: usize, requests: &mut SendStream<Bytes>, out: Vec<Bytes>) -> Result<(), ClientError> {
    for request in out {
        requests.send_data(request, false)?;
    }
    shared.world.borrow_mut().sent(nth);
    shared.tell();
    Ok(())
}

async fn end(mut body: RecvStream, begun: bool) -> ClientError {
    match body.trailers().await {
        Ok(Some(trailers)) => ended(&trailers, begun),
        Ok(None) => ClientError::Ended("without a status".to_owned()),
        Err(error) => ClientError::Http(error),
    }
}

/// By gRPC's status and message.
fn ended(headers: &HeaderMap, begun: bool) -> ClientError {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let status = text("grpc-status");
    let said = format!("status {status}, message {:?}", text("grpc-message"));
    if !begun && BUSY.contains(&status) { ClientError::Busy(said) } else { ClientError::Ended(said) }
}
