//! An HTTP server that says its name, and a client.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{client::conn, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    process,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Serves on a free port of loopback for as long as the test runs.
pub async fn backend(says: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let answer = move |_| async move {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(says.as_bytes()))))
            };
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(io), service_fn(answer)));
        }
    });
    port
}

/// A port of loopback that nobody listens on, and that the kernel gives to no connection by itself.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let next =
        || 12_000 + (process::id().wrapping_mul(397).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed))) % 20_000;
    let mut candidates = (0..20_000).map(|_| u16::try_from(next()).unwrap());
    candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Status and body; `None` where there is no answer.
pub async fn get(port: u16) -> Option<(u16, String)> {
    ask(TcpStream::connect(("127.0.0.1", port)).await.ok()?, "GET", "/").await
}

/// Asks once, over a connection of its own.
pub async fn ask<I>(io: I, method: &str, path: &str) -> Option<(u16, String)>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(io)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", "test").body(Empty::<Bytes>::new()).ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    connection.abort();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}
