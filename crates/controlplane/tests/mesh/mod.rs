//! A mesh on this machine: a control plane over a directory, an authority, Envoys with agents, applications.

mod app;
mod authority;
pub(crate) mod client;

pub(crate) use app::App;
pub(crate) use authority::Authority;

use crate::support::{
    process::{Node, Process},
    sds::Agent,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tombolo_controlplane::{ControlPlane, Setup, SystemClock, directory::Directory};
use tombolo_translate::engine::{Fact, Relation};

/// Long enough for a busy machine; only failures take it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane, and what it serves from.
pub(crate) struct Mesh {
    /// Issues the certificates of its workloads.
    pub(crate) authority: Authority,
    envoy: PathBuf,
    plane: ControlPlane,
    address: SocketAddr,
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// An Envoy beside a workload.
pub(crate) struct Proxy {
    process: Process,
    /// Holds the agent's socket.
    _agent: TempDir,
}

impl Mesh {
    /// Serves these manifests.
    pub(crate) fn start(envoy: PathBuf, manifests: &str) -> Self {
        let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
        fs::write(directory.path().join("base.yaml"), manifests).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let setup = Setup {
            sources: vec![Box::new(Directory::new(directory.path()))],
            facts: vec![(Relation::Trust, Fact::Trust(authority.root().into()))],
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let (plane, listener) = runtime.block_on(async {
            let plane = ControlPlane::start(setup).unwrap();
            tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap();
            (plane, tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let address = listener.local_addr().unwrap();
        runtime.spawn(tombolo_xds::serve(listener, plane.hub().clone(), std::future::pending()));
        Self { authority, envoy, plane, address, directory, runtime }
    }

    /// Writes a file of manifests.
    pub(crate) fn write(&self, name: &str, manifests: &str) {
        let new = self.directory.path().join(format!(".{name}"));
        fs::write(&new, manifests).unwrap();
        fs::rename(new, self.directory.path().join(format!("{name}.yaml"))).unwrap();
    }

    /// Starts the proxy of a workload of namespace `shop`, with a certificate for an identity.
    pub(crate) fn proxy(&self, workload: &str, address: IpAddr, identity: &str) -> Proxy {
        let agent = tempfile::tempdir().unwrap();
        let (socket, certificate) = (agent.path().join("sds"), self.authority.issue(identity));
        Agent::with(certificate.chain, certificate.key, self.authority.root()).serve(&self.runtime, &socket);
        let id = format!("sidecar~{address}~{workload}.shop~shop.svc.cluster.local");
        let metadata = json!({"NAMESPACE": "shop", "INTERCEPTION_MODE": "NONE"}).as_object().cloned().unwrap();
        let process = Process::start(&self.envoy, Node { id: &id, metadata }, self.address, socket).unwrap();
        Proxy { process, _agent: agent }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.plane.stop();
    }
}

impl Proxy {
    /// Every counter and gauge.
    pub(crate) fn stats(&self) -> BTreeMap<String, u64> {
        self.process.stats()
    }

    /// What it has logged, and counted of TLS and of failures.
    pub(crate) fn log(&self) -> String {
        let telling = |name: &str| ["ssl.", "fail", "filter_chain"].into_iter().any(|word| name.contains(word));
        let counted = self.stats().into_iter().filter(|(name, count)| *count > 0 && telling(name));
        let counted: Vec<_> = counted.map(|(name, count)| format!("{name}: {count}")).collect();
        format!("{}\n{}", self.process.log(), counted.join("\n"))
    }
}

/// Two addresses of this machine that no other test uses at the same time.
pub(crate) fn addresses(test: u8) -> [IpAddr; 2] {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    [1, 2].map(|host| IpAddr::from([127, 128 | (high & 0x7f), low, test * 8 + host]))
}

/// Waits until there is an answer; panics with what is then told.
pub(crate) fn eventually<T>(answer: impl Fn() -> Option<T>, told: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match answer() {
            Some(answer) => return answer,
            None if Instant::now() > deadline => panic!("{}", told()),
            None => thread::sleep(Duration::from_millis(50)), // until the next look
        }
    }
}
