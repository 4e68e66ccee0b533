//! Serves clients over UDP and TCP, until told to stop.

mod tcp;
mod udp;

use super::Dns;
use std::{future::Future, io, net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The sockets of one address.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Why clients cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "DNS cannot be served at {address}: {source}; choose a free address of this machine (ports below 1024 need CAP_NET_BIND_SERVICE)"
)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// Ports of the system's choice that are tried, until one is free for both UDP and TCP.
const TRIES: usize = 16;

impl Sockets {
    /// Binds both sockets of an address, `127.0.0.1:15053` usually. With port 0 the system chooses one that is free for both.
    ///
    /// # Errors
    /// The address is taken, is not this machine's, or may not be used.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let mut tries = if address.port() == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::try_bind(address).await {
                Ok(sockets) => return Ok(sockets),
                Err(source) if tries == 0 => return Err(BindError { address, source }),
                Err(_) => {}
            }
        }
    }

    async fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    /// Where clients are served.
    ///
    /// # Errors
    /// The system's; none is known.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

/// Serves clients until `shutdown`. Questions that other servers are being asked then are not answered any more.
pub async fn serve(dns: Arc<Dns>, sockets: Sockets, shutdown: impl Future<Output = ()>) {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let udp = udp::serve(dns.clone(), Arc::new(sockets.udp), stop.clone(), tasks.clone());
    let tcp = tcp::serve(dns, sockets.tcp, stop.clone(), tasks.clone());
    tokio::select! {
        () = shutdown => {}
        () = udp => {}
        () = tcp => {}
    }
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
