//! Listening, keeping connections alive, cutting dead ones, and ending in good order.

use crate::{AdsService, Body, Hub, metrics::Cut};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{convert::Infallible, error::Error, future::Future, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What one stream's requests may be ahead of us: HTTP/2's default. All clients that come back say at once what they hold.
const REQUEST_WINDOW: u32 = 64 << 10;
/// What HTTP/2 buffers of one stream's responses. Small: the rest is shared, and made when there is room.
const SEND_BUFFER: usize = 64 << 10;
/// Envoy opens one ADS stream per connection; a second one may overlap when it starts over.
const STREAMS: u32 = 16;

/// Connections that may wait to be accepted. A mesh that lost its control plane comes back all at once, and what finds the usual
/// queue of 128 full is lost for seconds, or reset. The system may set a lower limit (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Listens for [`serve`], with room for many who come at once. Must be called within a tokio runtime.
///
/// # Errors
/// The system's: the address is taken, say.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What stands between a port and [`AdsService`]: a handshake, a check of who calls, other services on the same port.
pub trait Front: Clone + Send + Sync + 'static {
    /// The connection, once it may be served.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Answers the connection's requests, `ads` those that are for it.
    type Service: Service<Request<Incoming>, Response = Response<Self::Body>, Error = Infallible, Future: Send> + Send;
    /// The body of an answer.
    type Body: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Lets a connection in, or drops it: `None`. To be bounded in time: it waits for the caller.
    fn admit(self, io: TcpStream, ads: AdsService) -> impl Future<Output = Option<(Self::Io, Self::Service)>> + Send;
}

/// Nothing: everybody is served, in plaintext.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plaintext;

impl Front for Plaintext {
    type Io = TcpStream;
    type Service = AdsService;
    type Body = Body<Incoming>;

    async fn admit(self, io: TcpStream, ads: AdsService) -> Option<(TcpStream, AdsService)> {
        Some((io, ads))
    }
}

/// Serves plain HTTP/2 on a listener until `shutdown`: [`serve_behind`] nothing.
pub async fn serve(listener: TcpListener, hub: Hub, shutdown: impl Future<Output = ()>) {
    serve_behind(Plaintext, listener, hub, shutdown).await;
}

/// Serves HTTP/2 on a listener until `shutdown`, then sheds the streams and returns once they are gone, or at the latest one second
/// after [`crate::Timing::drain`].
pub async fn serve_behind(front: impl Front, listener: TcpListener, hub: Hub, shutdown: impl Future<Output = ()>) {
    let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
    let everything = CancellationToken::new();
    connections.spawn(cut_stalled(hub.clone(), stop.clone()));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((io, _)) => {
                // Updates are small, and someone waits for each.
                _ = io.set_nodelay(true);
                let connection = Box::pin(serve_accepted(front.clone(), io, hub.clone(), stop.clone()));
                let everything = everything.clone();
                connections.spawn(async move {
                    everything.run_until_cancelled(connection).await;
                });
            }
            Err(error) => wait_out(&error).await,
        }
    }
    drop(listener);
    stop.cancel();
    connections.close();
    let drain = hub.config().timing.drain + Duration::from_secs(1);
    let gone = async {
        hub.shed().await;
        connections.wait().await;
    };
    if tokio::time::timeout(drain, gone).await.is_err() {
        everything.cancel();
        connections.wait().await;
    }
}

async fn serve_accepted(front: impl Front, io: TcpStream, hub: Hub, stop: CancellationToken) {
    let cut = CancellationToken::new();
    let admission = front.admit(io, AdsService::new(hub.clone(), cut.clone()));
    if let Some(Some((io, service))) = stop.run_until_cancelled(admission).await {
        drive(io, service, hub, cut, stop).await;
    }
}

/// Serves one connection, TCP or TLS or in memory, until it ends. After `stop` it takes no new streams.
pub async fn serve_connection<I>(io: I, hub: Hub, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = CancellationToken::new();
    let service = AdsService::new(hub.clone(), cut.clone());
    drive(io, service, hub, cut, stop).await;
}

async fn drive<I, S, B>(io: I, service: S, hub: Hub, cut: CancellationToken, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S::Future: 'static,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let timing = &hub.config().timing;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(timing.ping_interval)
        .keep_alive_timeout(timing.ping_timeout)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(REQUEST_WINDOW)
        .initial_connection_window_size(REQUEST_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if ended.is_err_and(|error| error.is_timeout()) {
                    hub.metrics().cut(Cut::Silent);
                }
                return;
            }
            () = cut.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn cut_stalled(hub: Hub, stop: CancellationToken) {
    let longest = hub.config().timing.stall;
    let mut tick = tokio::time::interval((longest / 4).max(Duration::from_millis(10)));
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        hub.cut_stalled(longest);
    }
}

/// A connection that died while it waited concerns nobody; a shortage, of descriptors say, is given time.
async fn wait_out(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, time::Duration};
    use tokio::net::TcpStream;

    /// More than the usual queue holds connect while nobody accepts yet: none is lost.
    #[tokio::test]
    async fn a_whole_mesh_may_come_at_once() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..400 {
            let connect = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(address));
            waiting.push(connect.await.unwrap().unwrap());
        }
        for _ in &waiting {
            tokio::time::timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();
        }
    }
}
