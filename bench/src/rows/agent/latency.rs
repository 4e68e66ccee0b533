//! Row agent-latency: how much later an Envoy behind an agent has a change than one that is connected to the control plane.

use super::{
    super::{Measured, RowId, secured::Secured, staging::LONG},
    process::Agent,
};
use anyhow::{Context as _, bail, ensure};
use http::{HeaderMap, uri::Authority};
use prost::Message as _;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpStream, UnixStream},
    runtime::Runtime,
    time::{sleep, timeout},
};
use tombolo_agent::stream::{Request, Upstream, over};
use tombolo_bench::{clock::Moment, fixture::Mesh, report::Spread, sequence::Sequence};
use tombolo_proto::{ResourceType, envoy::envoy::config::core::v3::Node};

const MESH: Mesh = Mesh { services: 1000, endpoints: 5, namespaces: 10 };
/// Changes, each alone.
const CHANGES: u32 = 300;
/// Those that come first and do not count.
const WARM: u32 = 20;
/// Between two changes, so that nothing of one is left.
const PAUSE: Duration = Duration::from_millis(10);
const LIMIT: usize = 64 << 20;
const LOOK: Duration = Duration::from_millis(50);
/// The service whose endpoint moves.
const SERVICE: usize = 7;

pub(in crate::rows) fn measure() -> anyhow::Result<Measured> {
    let secured = Secured::start(MESH)?;
    let agent = Agent::start(&secured, secured.address)?;
    agent.wait_for_names(MESH.services, LONG)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (direct, behind) = pushes(&secured, &runtime, agent.socket())?;
    let milliseconds = |times: &[Duration]| {
        let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        Spread::of(&times).context("nothing was pushed")
    };
    let (direct, behind) = (milliseconds(&direct)?, milliseconds(&behind)?);
    let note = format!("median of {CHANGES} pushes: direct {direct} ms, behind an agent {behind} ms");
    let title = "what an agent adds to a config push, TLS included: medians' difference";
    Ok(RowId::AgentLatency.row(title, behind.median - direct.median, note).into())
}

/// How long each took, directly and behind the agent.
fn pushes(secured: &Secured, runtime: &Runtime, socket: PathBuf) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut direct, mut behind) = runtime.block_on(async {
        let direct = Envoy::subscribed(TcpStream::connect(secured.subject.address()).await?).await?;
        anyhow::Ok((direct, Envoy::subscribed(connect(socket).await?).await?))
    })?;
    let (mut directly, mut by_agent) = (Vec::new(), Vec::new());
    for nth in 1..=CHANGES + WARM {
        let sequence = Sequence::new(nth);
        let change = MESH.slice(SERVICE, Some(sequence)).to_string();
        let start = secured.subject.edit(&change)?;
        let arrivals = async {
            let arrivals = tokio::try_join!(direct.receive(sequence), behind.receive(sequence));
            sleep(PAUSE).await;
            arrivals
        };
        let (one, other) = runtime.block_on(arrivals)?;
        if nth > WARM {
            directly.push(one.since(start));
            by_agent.push(other.since(start));
        }
    }
    Ok((directly, by_agent))
}

async fn connect(socket: PathBuf) -> anyhow::Result<UnixStream> {
    let end = Instant::now() + LONG;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > end => bail!("{}: {error}", socket.display()),
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// Envoy's side of a stream.
struct Envoy(Upstream);

impl Envoy {
    /// One that has asked for the assignment, and has it.
    async fn subscribed<I>(io: I) -> anyhow::Result<Self>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let stream = over(io, Authority::from_static("localhost"), HeaderMap::new(), LIMIT).await?;
        let namespace = Mesh::namespace_name(0);
        let id = format!("sidecar~10.128.0.1~client.{namespace}~{namespace}.svc.cluster.local");
        let node = Node { id, ..Node::default() };
        let ask = Request {
            node: Some(node.encode_to_vec().into()),
            type_url: ResourceType::Endpoints.url().into(),
            subscribe: vec![MESH.cluster(SERVICE)],
            ..Request::default()
        };
        stream.requests.send(ask).await?;
        let mut envoy = Self(stream);
        let first = timeout(LONG, envoy.next()).await.context("the control plane does not answer")??;
        ensure!(!first.is_empty(), "the cluster is not known");
        Ok(envoy)
    }

    /// When a change is here.
    async fn receive(&mut self, sequence: Sequence) -> anyhow::Result<Moment> {
        let arrival = async {
            loop {
                let resources = self.next().await?;
                let now = Moment::now();
                if resources.iter().any(|resource| Sequence::find(resource) == Some(sequence)) {
                    return Ok(now);
                }
            }
        };
        timeout(LONG, arrival).await.context("a change does not arrive")?
    }

    /// The resources of the next response, which is acknowledged.
    async fn next(&mut self) -> anyhow::Result<Vec<bytes::Bytes>> {
        let response = self.0.responses.recv().await.context("the stream has ended")??;
        let ack = Request { type_url: response.type_url, response_nonce: response.nonce, ..Request::default() };
        self.0.requests.send(ack).await?;
        Ok(response.resources)
    }
}
