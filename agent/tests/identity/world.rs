//! An agent's identity with all that it needs.

use super::control_plane::{ControlPlane, ID, NAME};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tombolo_agent::{
    identity::{self, Config, Current, Handle, Identity, Material, channel},
    state::StateDir,
    upstream::{self, Upstream},
};
use tombolo_core::InstanceId;

/// Longer than anything takes that is not broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A machine: its files outlive its agents.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
}

/// An agent's identity.
pub(crate) struct Agent {
    pub(crate) state: Arc<StateDir>,
    pub(crate) current: Current,
    pub(crate) handle: Handle,
    task: JoinHandle<()>,
}

impl Machine {
    /// With a token and the roots of a control plane.
    pub(crate) fn new(control_plane: &ControlPlane) -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(machine.path("root-cert.pem"), control_plane.ca.root()).unwrap();
        std::fs::write(machine.path("token"), "joins").unwrap();
        machine
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn upstream(&self, address: String, current: Current) -> Upstream {
        let config = upstream::Config {
            address,
            server_name: Some(NAME.into()),
            roots: self.path("root-cert.pem"),
            token: Some(self.path("token")),
            cluster: None,
        };
        Upstream::new(config, current, Arc::new(SystemTime::now)).unwrap()
    }

    /// Starts an agent.
    pub(crate) async fn agent(&self, control_plane: &ControlPlane) -> Agent {
        let state = Arc::new(StateDir::open(self.path("state"), Duration::from_secs(5)).await.unwrap());
        let (publisher, current) = channel();
        let upstream = self.upstream(control_plane.address.to_string(), current.clone());
        let config = Config::new(ID.parse().unwrap(), InstanceId::parse("machine-1").unwrap());
        let (identity, handle) = Identity::new(config, upstream, state.clone(), Arc::new(SystemTime::now), publisher);
        let task = tokio::spawn(async move {
            let _ = identity.run().await;
        });
        Agent { state, current, handle, task }
    }
}

impl Agent {
    /// Its first certificate.
    pub(crate) async fn ready(&self) -> Arc<Material> {
        let mut current = self.current.clone();
        within("a first certificate", async move { current.ready().await.unwrap() }).await
    }

    /// Dies, as when it is killed: what it was doing it does no more.
    pub(crate) async fn die(self) {
        self.task.abort();
        let _ = self.task.await;
        assert_eq!(Arc::strong_count(&self.state), 1, "somebody still has its state directory");
    }
}

/// Waits for what must come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not come within {DEADLINE:?}"))
}

/// Waits for a condition; `state` is shown where it does not come true.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "{what}: {}", state());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A file's permissions.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) use identity::Health;
