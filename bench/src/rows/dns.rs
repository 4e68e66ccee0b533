//! Row dns: questions for names of the mesh, against a server that sends back what it gets.

use super::{Measured, RowId};
use anyhow::{Context as _, ensure};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tombolo_agent::dns::{Config, Dns, Resolv, Scope, Sockets, serve};
use tombolo_bench::{clock::cpu_of_others, machine, report::Pairs};
use tombolo_proto::agent::NameInfo;

/// Names in the table.
const NAMES: usize = 10_000;
/// Different questions.
const QUESTIONS: usize = 1000;
/// Queries of one measurement.
const QUERIES: usize = 100_000;
/// Queries that are on their way at once.
const WINDOW: usize = 64;
/// A query that is not answered in this time is lost; so many may be.
const LOST: Duration = Duration::from_millis(500);
const MOST_LOST: usize = QUERIES / 100;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let cpus = machine::cpus()?;
    cpus.first().copied().map_or(Ok(()), machine::pin)?;
    let (ours, floor) = (server(names)?, server(echo)?);
    cpus.last().copied().map_or(Ok(()), machine::pin)?;
    let questions = (0..QUESTIONS).map(|nth| question(nth * 10)).collect::<anyhow::Result<Vec<_>>>()?;
    let rate = |address| {
        let (asked, took) = cpu_of_others(|| ask(address, &questions));
        asked.map(|answered| answered as f64 / took.as_secs_f64())
    };
    ensure!(answers(ours, &questions)?, "a name of the mesh is not answered with its address");
    let pairs = Pairs::measure(Pairs::LEAST, || rate(ours), || rate(floor))?;
    let (Some(ratio), Some(ours), Some(floor)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let note = format!("pairs {ratio}; ours {:.0}/s, echo {:.0}/s", ours.median, floor.median);
    let title = "DNS queries per second of server CPU, 10,000 names, over a UDP echo";
    Ok(RowId::Dns.row(title, ratio.median, note).into())
}

/// A server on a thread of its own, as the agent's is; it ends with this process.
fn server(make: fn(&Runtime) -> anyhow::Result<(SocketAddr, Serving)>) -> anyhow::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (address, serving) = make(&runtime)?;
    std::thread::Builder::new().name("server".into()).spawn(move || runtime.block_on(serving))?;
    Ok(address)
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn names(runtime: &Runtime) -> anyhow::Result<(SocketAddr, Serving)> {
    let scope = Scope::new("shop", "cluster.local", ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
    let sockets = runtime.block_on(Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()))?;
    let address = sockets.address()?;
    let dns = Dns::new(Config::new(scope, Resolv::parse(b"")), address);
    for nth in 0..NAMES {
        let info = NameInfo {
            ips: vec![format!("10.{}.{}.1", nth / 256, nth % 256), "2001:db8::1".into()],
            registry: "Kubernetes".into(),
            shortname: format!("svc-{nth}"),
            namespace: "shop".into(),
        };
        dns.apply(&host(nth), Some(&info));
    }
    Ok((address, Box::pin(serve(dns, sockets, std::future::pending()))))
}

fn echo(runtime: &Runtime) -> anyhow::Result<(SocketAddr, Serving)> {
    let socket = runtime.block_on(tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = socket.local_addr()?;
    let serving = async move {
        let mut packet = vec![0; 4097];
        while let Ok((len, client)) = socket.recv_from(&mut packet).await {
            _ = socket.send_to(&packet[..len], client).await; // what is lost the client counts
        }
    };
    Ok((address, Box::pin(serving)))
}

fn host(nth: usize) -> String {
    format!("svc-{nth}.shop.svc.cluster.local")
}

fn question(nth: usize) -> anyhow::Result<Vec<u8>> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(host(nth) + ".")?, RecordType::A));
    Ok(message.to_vec()?)
}

fn client(server: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(LOST))?;
    Ok(socket)
}

/// Whether the second question's answer is its address.
fn answers(server: SocketAddr, questions: &[Vec<u8>]) -> anyhow::Result<bool> {
    let socket = client(server)?;
    socket.send(questions.get(1).context("no questions")?)?;
    let mut answer = [0; 4096];
    let len = socket.recv(&mut answer)?;
    Ok(answer[..len].ends_with(&[10, 0, 10, 1]))
}

/// How many are answered.
fn ask(server: SocketAddr, questions: &[Vec<u8>]) -> anyhow::Result<usize> {
    let (socket, start) = (client(server)?, Instant::now());
    let (mut sent, mut answered, mut lost) = (0, 0, 0);
    let mut answer = [0; 4096];
    while answered + lost < QUERIES {
        while sent < QUERIES && sent - answered - lost < WINDOW {
            socket.send(&questions[sent % questions.len()])?;
            sent += 1;
        }
        match socket.recv(&mut answer) {
            Ok(_) => answered += 1,
            Err(_) => lost = sent - answered,
        }
        ensure!(lost <= MOST_LOST, "{lost} queries were lost in {:?}", start.elapsed());
    }
    Ok(answered)
}
