//! Listening, keeping connections alive, cutting dead ones, and ending in good order.

use crate::{AdsService, Hub, metrics::Cut};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{future::Future, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What one stream's requests may be ahead of us.
const REQUEST_WINDOW: u32 = 256 << 10;
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

/// Serves plain HTTP/2 on a listener until `shutdown`, then sheds the streams and returns once they are gone, or at the latest
/// one second after [`crate::Timing::drain`].
pub async fn serve(listener: TcpListener, hub: Hub, shutdown: impl Future<Output = ()>) {
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
                let connection = Box::pin(serve_connection(io, hub.clone(), stop.clone()));
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

/// Serves one connection, TCP or TLS or in memory, until it ends. After `stop` it takes no new streams.
pub async fn serve_connection<I>(io: I, hub: Hub, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = CancellationToken::new();
    let timing = &hub.config().timing;
    let service = AdsService::new(hub.clone(), cut.clone());
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
