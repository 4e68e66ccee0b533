//! An Envoy's administration interface, over its Unix socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// Envoy answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read into memory, in bytes.
const LONGEST: usize = 16 << 20;

const METRICS: &str = "/stats/prometheus";

/// An Envoy's administration interface. Each question is a connection of its own: Envoys come and go.
#[derive(Clone, Debug)]
pub struct Client {
    socket: Arc<Path>,
}

/// A question that Envoy did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no Envoy listens on {}: {source}", socket.display())]
    Connect {
        /// Where its administration interface should be.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It takes too long.
    #[error("Envoy does not answer {0}")]
    Silent(String),
    /// Not as it should.
    #[error("Envoy answers {path} with {status}: {text}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// The answer.
        text: String,
    },
    /// The connection broke.
    #[error("Envoy's answer to {path} broke off: {reason}")]
    Broken {
        /// What was asked for.
        path: String,
        /// How.
        reason: String,
    },
}

impl Client {
    /// The one behind a socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into().into() }
    }

    /// Whether it answers at all: it may still wait for its config.
    pub async fn answers(&self) -> bool {
        self.get("/server_info").await.is_ok()
    }

    /// Whether it takes traffic, and what it says if not: `LIVE`, `DRAINING`, `PRE_INITIALIZING`, `INITIALIZING`.
    ///
    /// # Errors
    /// [`ClientError`] where it does not say.
    pub async fn state(&self) -> Result<String, ClientError> {
        match self.get("/ready").await {
            Err(ClientError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, text, .. }) => Ok(text),
            answer => answer.map(|text| text.trim().to_owned()),
        }
    }

    /// Counters and gauges by name, of those whose name this regular expression finds.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stats(&self, filter: &str) -> Result<Vec<(String, u64)>, ClientError> {
        let text = self.get(&format!("/stats?filter={}", escape(filter))).await?;
        let pair = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(pair).collect())
    }

    /// Its metrics in Prometheus' text format, as they come: they may be long. The query is Envoy's: `usedonly`, `filter=REGEX`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn metrics(&self, query: &str) -> Result<Streaming, ClientError> {
        let path = format!("{METRICS}?{query}");
        let ask = async {
            let (response, connection) = self.send(Method::GET, &path).await?;
            match response.status() {
                StatusCode::OK => Ok(Streaming { body: response.into_body(), _connection: connection }),
                status => Err(ClientError::Refused { path: METRICS.into(), status, text: String::new() }),
            }
        };
        timeout(PATIENCE, ask).await.map_err(|_| ClientError::Silent(METRICS.into()))?
    }

    /// Tells its callers to go elsewhere: fails their health checks, and answers with `connection: close`. New connections are still
    /// taken, for the drain time that it was started with.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn discourage(&self) -> Result<(), ClientError> {
        self.request(Method::POST, "/healthcheck/fail").await?;
        self.request(Method::POST, "/drain_listeners?graceful").await.map(drop)
    }

    /// Takes no more connections, at once. Those that are open go on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn close_listeners(&self) -> Result<(), ClientError> {
        self.request(Method::POST, "/drain_listeners").await.map(drop)
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// [`ClientError`], where there is none.
    pub async fn quit(&self) -> Result<(), ClientError> {
        self.request(Method::POST, "/quitquitquit").await.map(drop)
    }

    async fn get(&self, path: &str) -> Result<String, ClientError> {
        self.request(Method::GET, path).await
    }

    async fn request(&self, method: Method, path: &str) -> Result<String, ClientError> {
        let answered = timeout(PATIENCE, self.exchange(method, path)).await;
        answered.map_err(|_| ClientError::Silent(path.to_owned()))?
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<String, ClientError> {
        let (response, _connection) = self.send(method, path).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| broken(path, &*error))?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK {
            return Ok(text);
        }
        Err(ClientError::Refused { path: path.to_owned(), status, text: text.trim().chars().take(200).collect() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), ClientError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| ClientError::Connect { socket: self.socket.to_path_buf(), source })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(path, &error))?;
        let connection = tokio::spawn(async move { _ = connection.await }); // its error is the answer's too
        let request = Request::builder().method(method).uri(path).header("host", "envoy");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| broken(path, &error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(path, &error))?;
        Ok((response, AbortOnDropHandle::new(connection)))
    }
}

/// An answer that comes piece by piece.
#[derive(Debug)]
pub struct Streaming {
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Streaming {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError`] where it breaks off, or nothing comes for two seconds.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = timeout(PATIENCE, self.body.frame()).await.map_err(|_| ClientError::Silent(METRICS.into()))?;
            let Some(frame) = frame.transpose().map_err(|error| broken(METRICS, &error))? else { return Ok(None) };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn broken(path: &str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Broken { path: path.to_owned(), reason: error.to_string() }
}

/// For a query's value (RFC 3986, section 2.1).
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
