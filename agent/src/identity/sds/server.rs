//! The socket, and who may speak on it.

use super::{
    Verdicts,
    stream::{Ask, Method},
};
use crate::identity::Current;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tombolo_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use tonic::{Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;

const WORLD: &str = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
const DELTA: &str = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";

/// One Envoy, and the one that follows it, have a connection each.
const MOST_CONNECTIONS: usize = 16;
/// Envoy has a stream for each secret.
const MOST_STREAMS: u32 = 32;
/// The longest request, in bytes: Envoy's node is in it.
const MOST_BYTES: usize = 256 * 1024;
/// An Envoy that hangs is noticed.
const PING: Duration = Duration::from_secs(60);
/// After the system had no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether somebody answers on a socket.
pub(in crate::identity) async fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Why secrets cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SdsError {
    /// Two agents would take Envoy away from each other.
    #[error("somebody answers on {}: stop the other agent, or choose another state directory", .0.display())]
    Taken(PathBuf),
    /// Whatever it is, it is not ours to remove.
    #[error("{} is there and is not a socket: remove it, or choose another state directory", .0.display())]
    NotASocket(PathBuf),
    /// The system said no.
    #[error("cannot listen on {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Serves the identity on a Unix socket.
#[derive(Debug)]
pub struct SdsServer {
    listener: UnixListener,
    verdicts: Verdicts,
}

impl SdsServer {
    /// Listens on a socket that only its owner may open; one that an earlier agent left behind is replaced. Its directory must be
    /// closed to others, as the state directory is.
    ///
    /// # Errors
    /// [`SdsError`], which says what is in the way.
    pub async fn bind(path: &Path) -> Result<Self, SdsError> {
        let failed = |source| SdsError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.file_type().is_socket() => return Err(SdsError::NotASocket(path.to_owned())),
            Ok(_) => match UnixStream::connect(path).await {
                // Nobody has it any more. Any other error may be that of somebody who is busy.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                _ => return Err(SdsError::Taken(path.to_owned())),
            },
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, verdicts: Verdicts::new() })
    }

    /// What Envoy says of what it is sent.
    pub fn verdicts(&self) -> Verdicts {
        self.verdicts.clone()
    }

    /// Serves, for ever; dropped, it closes every connection.
    pub async fn serve(self, current: Current) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= MOST_CONNECTIONS {
                tracing::warn!("{MOST_CONNECTIONS} connections ask for secrets: more have to wait");
                connections.join_next().await;
            }
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(connection(stream, current.clone(), self.verdicts.clone()))),
                    Err(error) => {
                        tracing::error!("no connection for secrets could be accepted: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(stream: UnixStream, current: Current, verdicts: Verdicts) {
    let service = hyper::service::service_fn(move |request| {
        let (current, verdicts) = (current.clone(), verdicts.clone());
        async move { Ok::<_, Infallible>(answer(request, current, verdicts).await) }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(MOST_STREAMS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection for secrets ended: {error}");
    }
}

async fn answer(request: http::Request<Incoming>, current: Current, verdicts: Verdicts) -> http::Response<Body> {
    match request.uri().path() {
        WORLD => stream::<DiscoveryRequest>(request, current, verdicts).await,
        DELTA => stream::<DeltaDiscoveryRequest>(request, current, verdicts).await,
        path => Status::unimplemented(format!("{path} is not served here")).into_http(),
    }
}

async fn stream<R: Ask>(
    request: http::Request<Incoming>,
    current: Current,
    verdicts: Verdicts,
) -> http::Response<Body> {
    Grpc::new(ProstCodec::<R::Answer, R>::default())
        .max_decoding_message_size(MOST_BYTES)
        .streaming(Method::<R>::new(current, verdicts), request)
        .await
}
