//! Row name-bytes: what goes over the wire, both ways and TLS included, when one name of 10,000 changes.

use super::{
    super::{Measured, RowId, secured::Secured, staging::LONG},
    MESH, NAMES, SETTLE,
    process::Agent,
};
use anyhow::{Context as _, bail};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};
use serde_json::json;
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tombolo_bench::report::Spread;

/// Names that change, one after the other.
const CHANGES: usize = 50;
/// Coprime to the number of names.
const STRIDE: usize = 7919;
/// Within this time of the last byte, no more comes of a change.
const QUIET: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);

pub(in crate::rows) fn measure() -> anyhow::Result<Measured> {
    let secured = Secured::start(MESH)?;
    let moved = Arc::new(AtomicU64::new(0));
    let between = between(&secured, moved.clone())?;
    let agent = Agent::start(&secured, between)?;
    agent.wait_for_names(NAMES, LONG)?;
    let whole = moved.load(Ordering::Relaxed);
    sleep(SETTLE);
    let mut bytes = Vec::with_capacity(CHANGES);
    for nth in 0..CHANGES {
        let before = quiet(&moved);
        change(&secured, &agent, nth)?;
        bytes.push((quiet(&moved) - before) as f64);
    }
    let spread = Spread::of(&bytes).context("nothing changed")?;
    let note =
        format!("of {CHANGES} changes {:.0} to {:.0} B; the whole table {} kB", spread.min, spread.max, whole / 1000);
    let title = "bytes on the wire, both ways, TLS included, for one changed name of 10,000";
    Ok(RowId::NameBytes.row(title, spread.max, note).into())
}

/// How many bytes have been moved, once no more are.
fn quiet(moved: &AtomicU64) -> u64 {
    loop {
        let before = moved.load(Ordering::Relaxed);
        sleep(QUIET);
        if moved.load(Ordering::Relaxed) == before {
            return before;
        }
    }
}

/// Gives a service another address, and waits until the agent answers with it.
fn change(secured: &Secured, agent: &Agent, nth: usize) -> anyhow::Result<()> {
    let address = Ipv4Addr::new(172, 31, 0, u8::try_from(nth)?);
    let mut service = MESH.service(nth * STRIDE % NAMES);
    (service["spec"]["clusterIP"], service["spec"]["clusterIPs"]) = (json!(address), json!([address]));
    let text = |field: &str| service["metadata"][field].as_str().unwrap_or_default().to_owned();
    let host = format!("{}.{}.svc.cluster.local.", text("name"), text("namespace"));
    secured.subject.edit(&service.to_string())?;
    let end = Instant::now() + LONG;
    while resolve(agent.dns, &host)? != Some(address) {
        if Instant::now() > end {
            bail!("the agent does not learn of {host}");
        }
        sleep(LOOK);
    }
    Ok(())
}

fn resolve(server: SocketAddr, host: &str) -> anyhow::Result<Option<Ipv4Addr>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LONG))?;
    let mut query = Message::new(1, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(host)?, RecordType::A));
    socket.send_to(&query.to_vec()?, server)?;
    let mut answer = [0; 4096];
    let len = socket.recv(&mut answer)?;
    let answer = Message::from_vec(&answer[..len])?;
    Ok(answer.answers.iter().find_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    }))
}

/// A way to the control plane on which bytes are counted, both ways together.
fn between(secured: &Secured, moved: Arc<AtomicU64>) -> anyhow::Result<SocketAddr> {
    let runtime = secured.subject.runtime()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let (address, to) = (listener.local_addr()?, secured.address);
    runtime.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let moved = moved.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await?;
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::try_join!(count(from_client, to_server, &moved), count(from_server, to_client, &moved))
            });
        }
    });
    Ok(address)
}

async fn count(
    mut from: impl io::AsyncRead + Unpin,
    mut to: impl io::AsyncWrite + Unpin,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        moved.fetch_add(len as u64, Ordering::Relaxed);
        to.write_all(&buffer[..len]).await?;
    }
}
