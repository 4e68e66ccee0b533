//! `tombolo-agent drain`: for preStop hooks and deploy scripts.

use crate::args::DrainArgs;
use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::{net::TcpStream, time::timeout};

const LONGEST_ANSWER: usize = 4096;

/// Asks the agent to drain its Envoy, and waits for it.
pub(crate) fn drain(args: &DrainArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = async { timeout(args.timeout, ask(reachable(args.admin))).await };
    runtime.block_on(asked).with_context(|| format!("not drained within {:?}: see --timeout", args.timeout))?
}

async fn ask(agent: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(agent).await;
    let stream = stream.with_context(|| format!("no agent answers on {agent}: name its address with --admin"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post("/drain").header("host", agent.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.context("the agent ended before Envoy was drained")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the agent's answer broke off: {error}"))?.to_bytes();
    connection.abort();
    ensure!(status.is_success(), "the agent answers with {status}: {}", String::from_utf8_lossy(&body).trim());
    Ok(())
}

/// An agent that listens on every address is asked on loopback: only there it drains.
fn reachable(agent: SocketAddr) -> SocketAddr {
    let ip = match agent.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, agent.port())
}
