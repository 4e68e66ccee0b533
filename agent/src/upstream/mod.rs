//! How to reach the control plane: over TLS with the mesh's roots, showing what proves who we are.
//!
//! [`Upstream`] knows where it is, and [`Upstream::connect`] makes a [`Connection`] to it: HTTP/2, on which gRPC calls are made.
//! A bearer token goes along with every call where there is one that still counts, and our certificate with every connection
//! once there is one: either proves who we are.

mod authority;
mod connection;
mod dial;
mod refusal;
mod tls;
mod token;

pub use connection::{Connection, Responses};
pub use dial::{Attempt, ConnectError};
pub use tls::{RootsError, TlsError};
pub use tombolo_process::Backoff;

use crate::identity::{Clock, Current, Proof};
use connection::Details;
use dial::Tls;
use refusal::Refusals;
use rustls_pki_types::ServerName;
use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};
use token::TokenFile;

/// Where the control plane is, and what is shown to it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HOST:PORT`. Each address of the host is tried.
    pub address: String,
    /// The name that its certificate must have, which is also asked for by SNI. `None`: the host of the address.
    pub server_name: Option<String>,
    /// The file of the mesh's roots to begin with (`root-cert.pem`). Read at each connection; it may be missing once there is an
    /// identity, whose roots are trusted besides.
    pub roots: PathBuf,
    /// The file of the bearer token. Read at each call; it may be missing.
    pub token: Option<PathBuf>,
    /// The cluster that the token is of, for Istio's control planes (`clusterid`).
    pub cluster: Option<String>,
}

/// Why there cannot be an upstream like this.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an address.
    #[error(
        "{0:?} is not the control plane's address: write it as HOST:PORT, such as tombolod.tombolo-system.svc:15012"
    )]
    Address(String),
    /// Not a name.
    #[error("{0:?} is not a server name: use a DNS name or an IP address")]
    ServerName(String),
    /// Tokens in plaintext are everybody's.
    #[error("{0} is not on this machine: a control plane elsewhere is reached over TLS only")]
    NotLoopback(SocketAddr),
}

/// A control plane that can be connected to.
pub struct Upstream {
    address: String,
    /// `None`: in plaintext.
    server_name: Option<ServerName<'static>>,
    roots: PathBuf,
    token: Option<TokenFile>,
    cluster: Option<String>,
    current: Current,
    /// Which of the addresses is tried first: one that accepts and then fails must not hold us.
    turn: AtomicUsize,
    refusals: Refusals,
}

impl Upstream {
    /// A control plane over TLS. `current` is where our certificate and the newest roots come from.
    ///
    /// # Errors
    /// [`ConfigError`], which names what is wrong.
    pub fn new(config: Config, current: Current, clock: Clock) -> Result<Self, ConfigError> {
        let host = match config.address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => host,
            _ => return Err(ConfigError::Address(config.address)),
        };
        let name = config.server_name.unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let server_name = ServerName::try_from(name.clone()).map_err(|_| ConfigError::ServerName(name))?;
        Ok(Self {
            address: config.address,
            server_name: Some(server_name),
            roots: config.roots,
            token: config.token.map(|path| TokenFile::new(path, clock)),
            cluster: config.cluster,
            current,
            turn: AtomicUsize::new(0),
            refusals: Refusals::default(),
        })
    }

    /// A control plane on this machine, without TLS: for tests. A token goes along all the same.
    ///
    /// # Errors
    /// [`ConfigError::NotLoopback`]
    pub fn plaintext(
        address: SocketAddr,
        token: Option<PathBuf>,
        current: Current,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        if !address.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(address));
        }
        Ok(Self {
            address: address.to_string(),
            server_name: None,
            roots: PathBuf::new(),
            token: token.map(|path| TokenFile::new(path, clock)),
            cluster: None,
            current,
            turn: AtomicUsize::new(0),
            refusals: Refusals::default(),
        })
    }

    /// Connects, showing our newest certificate. Each address is tried once; wait by a [`Backoff`] before the next call.
    ///
    /// # Errors
    /// [`ConnectError`], which says what happened at each address.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let proof = Proof { held: self.current.get(), show: true };
        let refusals = proof.held.is_some().then(|| self.refusals.clone());
        self.open(&proof, refusals).await
    }

    /// Connects, trusting the roots of an identity, and showing its certificate if asked to.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn connect_with(&self, proof: &Proof) -> Result<Connection, ConnectError> {
        self.open(proof, None).await
    }

    /// Waits until the control plane has refused the certificate that [`Upstream::connect`] shows, or a call on such a
    /// connection as unauthenticated: time to [ask for another](crate::identity::Handle::renew_now).
    pub async fn refused(&self) {
        self.refusals.next().await;
    }

    async fn open(&self, proof: &Proof, refusals: Option<Refusals>) -> Result<Connection, ConnectError> {
        let tls = match &self.server_name {
            Some(name) => {
                let (config, name) = (tls::client(&self.roots, proof)?, name.clone());
                Some(Tls { config, name, refusals: refusals.clone() })
            }
            None => None,
        };
        let addresses = dial::resolve(&self.address).await?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (sender, peer) = dial::dial(addresses, turn, tls).await?;
        let (token, cluster) = (self.token.clone(), self.cluster.clone());
        Ok(Connection::new(sender, Details { peer, origin: self.origin(), token, cluster, refusals }))
    }

    fn origin(&self) -> http::Uri {
        let (scheme, authority) = match &self.server_name {
            Some(ServerName::DnsName(name)) => ("https", name.as_ref().to_owned()),
            Some(ServerName::IpAddress(rustls_pki_types::IpAddr::V6(ip))) => {
                ("https", format!("[{}]", std::net::Ipv6Addr::from(*ip)))
            }
            Some(name) => ("https", name.to_str().into_owned()),
            None => ("http", self.address.clone()),
        };
        // A server name and an address are both authorities.
        let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        uri.unwrap_or_default()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("address", &self.address)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
