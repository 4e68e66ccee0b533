//! From a name to an HTTP/2 connection.

use super::{
    RootsError, TlsError,
    refusal::{Inspected, Refusals},
};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible};
use rustls_pki_types::ServerName;
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::TlsConnector;
use tonic::body::Body;

/// How long one address may take: TCP, TLS and HTTP/2 together.
const PATIENCE: Duration = Duration::from_secs(5);
/// A control plane that is gone without a word is noticed within 40 seconds.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// The most addresses of a name that are tried in one round.
const MOST_ADDRESSES: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("{address} cannot be resolved: {source}")]
    Resolve {
        /// What was looked up.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be tried.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No address answers as it should.
    #[error("the control plane cannot be reached: {}", Each(.0))]
    Unreachable(Vec<(SocketAddr, Attempt)>),
}

/// What happened at one address.
#[derive(Debug, thiserror::Error)]
pub enum Attempt {
    /// No connection.
    #[error("no connection: {0}")]
    Tcp(io::Error),
    /// No TLS.
    #[error("the TLS handshake failed: {0}{hint}", hint = hint(.0))]
    Tls(io::Error),
    /// Something else listens there.
    #[error("it does not speak HTTP/2: is this the control plane's TLS port (15012)?")]
    NoHttp2,
    /// No HTTP/2.
    #[error("the HTTP/2 handshake failed: {0}")]
    Http2(hyper::Error),
    /// It takes too long.
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Timeout,
}

/// How TLS is spoken.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
    /// Who wants to know that our certificate was refused.
    pub(super) refusals: Option<Refusals>,
}

struct Each<'a>(&'a [(SocketAddr, Attempt)]);

impl fmt::Display for Each<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, attempt)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{address}: {attempt}")?;
        }
        Ok(())
    }
}

impl From<RootsError> for ConnectError {
    fn from(error: RootsError) -> Self {
        Self::Tls(error.into())
    }
}

/// What may help against an error of TLS.
fn hint(error: &io::Error) -> &'static str {
    use CertificateError as Certificate;
    use PeerIncompatible as Peer;
    let error = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(error)) => error,
        Some(
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(
                Peer::ServerDoesNotSupportTls12Or13 | Peer::ServerTlsVersionIsDisabledByOurConfig,
            ),
        ) => return ": it speaks no TLS that is safe, have it speak 1.3 or 1.2",
        _ => return "",
    };
    match error {
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            ": its root is not known here, put the mesh's new root-cert.pem on this machine"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => ": configure its server name",
        Certificate::Expired
        | Certificate::ExpiredContext { .. }
        | Certificate::NotValidYet
        | Certificate::NotValidYetContext { .. } => ": is this machine's clock right?",
        _ => "",
    }
}

/// The addresses of `HOST:PORT`, in the resolver's order.
pub(super) async fn resolve(address: &str) -> Result<Vec<SocketAddr>, ConnectError> {
    let failed = |source| ConnectError::Resolve { address: address.to_owned(), source };
    let found = tokio::time::timeout(PATIENCE, lookup_host(address)).await;
    let found = found.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(failed)?;
    let addresses: Vec<_> = found.take(MOST_ADDRESSES).collect();
    if addresses.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// Tries each address once, beginning with the one whose turn it is.
pub(super) async fn dial(
    mut addresses: Vec<SocketAddr>,
    turn: usize,
    tls: Option<Tls>,
) -> Result<(SendRequest<Body>, SocketAddr), ConnectError> {
    let first = turn % addresses.len().max(1);
    addresses.rotate_left(first);
    let mut failures = Vec::new();
    for address in addresses {
        let attempt = tokio::time::timeout(PATIENCE, open(address, tls.clone())).await;
        match attempt.unwrap_or(Err(Attempt::Timeout)) {
            Ok(sender) => return Ok((sender, address)),
            Err(failure) => failures.push((address, failure)),
        }
    }
    Err(ConnectError::Unreachable(failures))
}

async fn open(address: SocketAddr, tls: Option<Tls>) -> Result<SendRequest<Body>, Attempt> {
    let stream = TcpStream::connect(address).await.map_err(Attempt::Tcp)?;
    stream.set_nodelay(true).map_err(Attempt::Tcp)?;
    let Some(Tls { config, name, refusals }) = tls else { return handshake(stream).await };
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        refusals.iter().for_each(|refusals| refusals.inspect(&error));
        Attempt::Tls(error)
    })?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Attempt::NoHttp2);
    }
    handshake(Inspected { io: stream, refusals }).await
}

/// The connection lives for as long as there are senders or streams of it.
async fn handshake<I>(io: I) -> Result<SendRequest<Body>, Attempt>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(io))
        .await
        .map_err(Attempt::Http2)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("the connection to the control plane ended: {error}");
        }
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tokio::net::TcpListener;

    /// A server that answers nothing, and one that is gone.
    async fn servers() -> (SocketAddr, SocketAddr) {
        let (live, gone) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await);
        let addresses = (live.local_addr().unwrap(), gone.unwrap().local_addr().unwrap());
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(|_| async { Ok::<_, Infallible>(http::Response::new(Body::empty())) });
            loop {
                let (stream, _) = live.accept().await.unwrap();
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        addresses
    }

    #[tokio::test]
    async fn each_address_is_tried_and_each_has_its_turn_to_be_first() {
        let (live, gone) = servers().await;
        for turn in 0..4 {
            let (_, peer) = dial(vec![gone, live], turn, None).await.unwrap();
            assert_eq!(peer, live);
        }
        let (other, _) = servers().await;
        for (turn, first) in [live, other, live].into_iter().enumerate() {
            assert_eq!(dial(vec![live, other], turn, None).await.unwrap().1, first);
        }
    }

    #[tokio::test]
    async fn where_no_address_answers_each_is_told_of() {
        let (_, gone) = servers().await;
        let (_, too) = servers().await;
        let error = dial(vec![gone, too], 1, None).await.unwrap_err().to_string();
        assert!(error.contains(&gone.to_string()) && error.contains(&format!("{too}: no connection")), "{error}");
    }
}
