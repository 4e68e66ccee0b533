//! Requests.

use super::{Certificate, World, certificates::trusting, eventually};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
    http::uri::PathAndQuery,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use serde_json::Value;
use std::{error::Error, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

type Failure = Box<dyn Error + Send + Sync>;

/// A request that is not sent yet.
#[derive(Clone)]
pub(crate) struct Ask<'w> {
    world: &'w World,
    to: SocketAddr,
    trust: Arc<ClientConfig>,
    method: &'static str,
    host: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    server_name: Option<&'static str>,
    http2: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// What reached the backend, as it told; null where another answered.
    pub(crate) echo: Value,
}

impl Answer {
    /// A header's value; empty where it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the backend of this name answered, with 200.
    pub(crate) fn is_from(&self, backend: &str) -> bool {
        self.status == 200 && self.echo["backend"] == backend
    }

    /// The values of a header as it reached the backend, joined by commas; empty where it did not.
    pub(crate) fn reached(&self, name: &str) -> String {
        let values = self.echo["headers"][name].as_array().cloned().unwrap_or_default();
        values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    }
}

impl<'w> Ask<'w> {
    /// GET of a path, for a host.
    pub(crate) fn new(world: &'w World, to: SocketAddr, host: &str, path: &str) -> Self {
        let (host, path) = (host.to_owned(), path.to_owned());
        let trust = world.trust.clone();
        Self {
            world,
            to,
            trust,
            method: "GET",
            host,
            path,
            headers: Vec::new(),
            body: Bytes::new(),
            server_name: None,
            http2: false,
        }
    }

    /// With another method.
    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With so many bytes behind it.
    pub(crate) fn body(self, bytes: usize) -> Self {
        Self { body: vec![b'x'; bytes].into(), ..self }
    }

    /// Over TLS, asking for this name.
    pub(crate) fn tls(self, server_name: &'static str) -> Self {
        Self { server_name: Some(server_name), ..self }
    }

    /// Trusting other certificates than the world's.
    pub(crate) fn trusting(self, certificates: &[&Certificate]) -> Self {
        Self { trust: trusting(certificates), ..self }
    }

    /// Over HTTP/2 from the first byte.
    pub(crate) fn http2(self) -> Self {
        Self { http2: true, ..self }
    }

    /// Sends it once.
    pub(crate) async fn send(&self) -> Result<Answer, Failure> {
        let (parts, body) = self.response().await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let echo = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, echo })
    }

    /// Sends it until the answer is as wanted; panics with the last answer and the world's state if it never is.
    pub(crate) async fn until(&self, wanted: &str, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
        let answered = eventually(async || match self.send().await {
            Ok(answer) if is_wanted(&answer) => Ok(answer),
            other => Err(other),
        });
        match answered.await {
            Ok(answer) => answer,
            Err(last) => {
                let dump = self.world.dump().await;
                let Self { method, host, path, headers, .. } = self;
                panic!("{method} {host}{path} {headers:?}: wanted {wanted}, last got {last:#?}\n{dump}")
            }
        }
    }

    /// Sends it until a backend answers it with 200.
    pub(crate) async fn reaches(&self, backend: &str) -> Answer {
        self.until(&format!("200 from {backend}"), |answer| answer.is_from(backend)).await
    }

    /// Sends it until it is answered with a status.
    pub(crate) async fn gets(&self, status: u16) -> Answer {
        self.until(&status.to_string(), |answer| answer.status == status).await
    }

    /// Sends it, and gives the response before its body.
    pub(crate) async fn response(&self) -> Result<Response<Incoming>, Failure> {
        let stream = TcpStream::connect(self.to).await?;
        let Some(name) = self.server_name else { return self.exchange(stream).await };
        let mut config = (*self.trust).clone();
        config.alpn_protocols = vec![if self.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let connector = TlsConnector::from(Arc::new(config));
        self.exchange(connector.connect(name.try_into()?, stream).await?).await
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<Response<Incoming>, Failure> {
        let io = TokioIo::new(stream);
        if self.http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            return Ok(sender.send_request(self.request()?).await?);
        }
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(self.request()?).await?)
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let path: PathAndQuery = self.path.parse()?;
        let mut request = Request::builder().method(self.method);
        request = if self.http2 {
            let scheme = if self.server_name.is_some() { "https" } else { "http" };
            request.uri(format!("{scheme}://{}{path}", self.host))
        } else {
            request.uri(hyper::Uri::from(path)).header("host", &self.host)
        };
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}
