//! A connection.

use super::{TcpSocket, judge::Outcome};
use std::net::IpAddr;
use tokio::net::TcpStream;

pub(crate) async fn probe(socket: &TcpSocket, local: IpAddr) -> Outcome {
    let host = socket.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| local.to_string());
    connect(&host, socket.port).await.map(drop)
}

/// Connects to a name or an address.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    TcpStream::connect((bare, port)).await.map_err(|error| format!("cannot connect to port {port} of {host}: {error}"))
}
