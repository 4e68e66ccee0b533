//! A proxy's resources, served over ADS to an Envoy that starts from our own bootstrap.

use super::{
    case::{Translated, changes},
    process::{Node, Process},
    sds::Agent,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tombolo_proto::{Resource, ResourceType, Scope, envoy::envoy::config::core::v3};
use tombolo_xds::{Class, Classify, Classifying, Config, Hub, Peer};

/// Until everything must be warm. Names that nobody resolves take Envoy some seconds to give up.
const DEADLINE: Duration = Duration::from_secs(30);

/// The agent's socket.
const AGENT: &str = "sds";

/// A node's id is the scope that it sees.
struct ByNodeId;

impl Classify for ByNodeId {
    fn classify<'a>(&'a self, node: &'a v3::Node, _: Option<&'a Peer>) -> Classifying<'a> {
        let class = Class { scopes: [Scope::namespace(&node.id)].into(), proxy: node.id.as_str().into() };
        Box::pin(std::future::ready(Ok(class)))
    }
}

/// A control plane that serves what it is given.
pub(crate) struct Server {
    hub: Hub,
    address: SocketAddr,
    /// Holds the agent's socket.
    agent: TempDir,
    /// Serves until it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Listens on a free port of this machine.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let hub = Hub::new(Config::default(), ByNodeId);
        hub.open();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(tombolo_xds::serve(listener, hub.clone(), std::future::pending()));
        let agent = tempfile::tempdir().expect("a directory");
        Agent::new().serve(&runtime, &agent.path().join(AGENT));
        Self { hub, address, agent, _runtime: runtime }
    }

    /// Has an Envoy take each proxy's resources. Returns what went wrong, by proxy.
    pub(crate) fn try_all(&self, envoy: &Path, case: &str, translated: &Translated) -> Vec<String> {
        let tried = translated.proxies.iter().filter_map(|(proxy, resources)| {
            let id = format!("{case}:{proxy}");
            self.hub.publish(changes(&Scope::namespace(&id), resources));
            Some(format!("{id}: {}", self.settle(envoy, &id, resources).err()?))
        });
        tried.collect()
    }

    /// Starts an Envoy and waits until it has taken everything.
    fn settle(&self, envoy: &Path, id: &str, resources: &[Arc<Resource>]) -> Result<(), String> {
        let node = Node { id, metadata: serde_json::Map::new() };
        let mut process = Process::start(envoy, node, self.address, self.agent.path().join(AGENT))?;
        let expected = expected(resources);
        let deadline = Instant::now() + DEADLINE;
        let mut seen = BTreeMap::new();
        while Instant::now() < deadline {
            if let Some(status) = process.ended()? {
                return Err(format!("ended with {status}: {}", process.log()));
            }
            // Not there yet: not to be asked yet.
            seen = process.stats();
            if seen.iter().any(|(name, count)| name.ends_with("update_rejected") && *count > 0) {
                return Err(format!("rejected {:?}: {}", self.hub.rejections(), process.log()));
            }
            if expected.iter().all(|(name, count)| seen.get(*name) == Some(count)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let missed = expected.iter().filter(|(name, count)| seen.get(**name) != Some(*count));
        let missed: Vec<_> =
            missed.map(|(name, count)| format!("{name} is {:?}, not {count}", seen.get(*name))).collect();
        Err(format!("{}: {}", missed.join(", "), process.log()))
    }
}

/// The figures of an Envoy that has taken everything, with nothing left warming.
fn expected(resources: &[Arc<Resource>]) -> BTreeMap<&'static str, u64> {
    let count = |kind| resources.iter().filter(|resource| resource.kind() == kind).count() as u64;
    BTreeMap::from([
        ("cluster_manager.active_clusters", count(ResourceType::Cluster) + 2), // the control plane, and the agent
        ("cluster_manager.warming_clusters", 0),
        ("listener_manager.total_listeners_active", count(ResourceType::Listener)),
        ("listener_manager.total_listeners_warming", 0),
        ("listener_manager.listener_create_failure", 0),
        ("server.state", 0), // live
    ])
}
