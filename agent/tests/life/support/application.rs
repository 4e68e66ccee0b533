//! The workload behind the proxy.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

/// Answers at once, but `/slow` only when it is released.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    slow: Arc<Semaphore>,
    waiting: watch::Receiver<u32>,
}

impl Application {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (slow, (waits, waiting)) = (Arc::new(Semaphore::new(0)), watch::channel(0));
        let gate = slow.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (gate, waits) = (gate.clone(), waits.clone());
                tokio::spawn(http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| answer(request, gate.clone(), waits.clone())),
                ));
            }
        });
        Self { address, slow, waiting }
    }

    /// Waits until somebody waits for `/slow`.
    pub(crate) async fn is_asked(&self) {
        self.waiting.clone().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    /// Answers one `/slow`.
    pub(crate) fn release(&self) {
        self.slow.add_permits(1);
    }
}

async fn answer(
    request: Request<Incoming>,
    gate: Arc<Semaphore>,
    waits: watch::Sender<u32>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/slow" {
        waits.send_modify(|waiting| *waiting += 1);
        gate.acquire().await.unwrap().forget();
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}
