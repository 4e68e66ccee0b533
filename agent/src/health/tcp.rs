//! A connection.

use super::{TcpSocket, judge::Outcome};
use std::net::IpAddr;
use tokio::net::TcpStream;

pub(crate) async fn probe(socket: &TcpSocket, local: IpAddr) -> Outcome {
    connect(socket.host.as_deref(), local, socket.port).await.map(drop)
}

/// Connects to a host, or to the workload itself.
pub(crate) async fn connect(host: Option<&str>, local: IpAddr, port: u16) -> Result<TcpStream, String> {
    match host.filter(|host| !host.is_empty()) {
        Some(host) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            TcpStream::connect((bare, port)).await.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))
        }
        None => {
            TcpStream::connect((local, port)).await.map_err(|error| format!("cannot connect to port {port}: {error}"))
        }
    }
}
