//! An Envoy's administration interface, over its Unix socket.

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{path::PathBuf, time::Duration};
use tokio::net::UnixStream;

/// Envoy answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// An Envoy's administration interface.
#[derive(Clone, Debug)]
pub(crate) struct Envoy {
    socket: PathBuf,
}

impl Envoy {
    /// The one behind a socket.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The addresses that it listens on, as `ADDRESS:PORT`.
    pub(crate) async fn listeners(&self) -> anyhow::Result<Vec<String>> {
        let text = self.get("/listeners").await?;
        Ok(text.lines().filter_map(|line| line.split_once("::")).map(|(_, address)| address.to_owned()).collect())
    }

    /// Ends it at once. Fails where there is none.
    pub(crate) async fn quit(&self) -> anyhow::Result<()> {
        self.request(Method::POST, "/quitquitquit").await.map(drop)
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.request(Method::GET, path).await
    }

    async fn request(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let answered = tokio::time::timeout(PATIENCE, self.exchange(method, path)).await;
        answered.with_context(|| format!("Envoy does not answer {path}"))?
    }

    async fn exchange(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .with_context(|| format!("cannot reach {}", self.socket.display()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "envoy");
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        anyhow::ensure!(status == StatusCode::OK, "Envoy answers {path} with {status}");
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
