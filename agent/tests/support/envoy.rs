//! A real Envoy, whose config comes from an agent's socket.

use super::{backend, eventually};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits};

/// An Envoy; killed when dropped.
pub struct Envoy {
    process: Child,
    dir: TempDir,
}

/// The Envoy to try: `ENVOY_BIN`, or the one that `make` fetched. Where there is none the test is skipped and says so, but with
/// `CI=true` it fails.
pub fn binary() -> Option<PathBuf> {
    let found = env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(fetched).filter(|path| path.is_file());
    if found.is_none() {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI needs an Envoy: set ENVOY_BIN");
        println!("skipped, needs Envoy: set ENVOY_BIN, or run `make envoy`");
    }
    found
}

fn fetched() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")))?;
    let libraries = fs::read_dir(cache.join("tombolo/envoy-venv/lib")).ok()?;
    libraries.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.is_file())
}

impl Envoy {
    /// Starts one whose config comes from this socket.
    pub async fn start(binary: &Path, discovery: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bootstrap = Bootstrap {
            node_id: "envoy's own word, which does not count".to_owned(),
            node_cluster: "test".to_owned(),
            metadata: serde_json::Map::new(),
            discovery: Endpoint::Unix(discovery.to_owned()),
            sds: None,
            admin: Endpoint::Unix(dir.path().join("admin")),
            limits: Limits::default(),
        };
        let config = dir.path().join("envoy.json");
        fs::write(&config, bootstrap.to_json().to_string()).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let process = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let envoy = Self { process, dir };
        eventually("Envoy starts", || async { envoy.get("/server_info").await.is_some() }, || envoy.log()).await;
        envoy
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the admin interface says.
    pub async fn get(&self, path: &str) -> Option<String> {
        let io = UnixStream::connect(self.dir.path().join("admin")).await.ok()?;
        backend::ask(io, "GET", path).await.map(|(_, body)| body)
    }

    /// A counter or gauge; 0 where there is none.
    pub async fn stat(&self, name: &str) -> u64 {
        let text = self.get(&format!("/stats?filter=^{name}$")).await.unwrap_or_default();
        text.trim().rsplit(": ").next().and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// The names of clusters of a section, `dynamic_active_clusters` or `dynamic_warming_clusters`, sorted.
    pub async fn clusters(&self, section: &str) -> Vec<String> {
        let text = self.get(&format!("/config_dump?resource={section}")).await.unwrap_or_default();
        let dump: Value = serde_json::from_str(&text).unwrap_or_default();
        let configs = dump["configs"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            configs.iter().filter_map(|c| Some(c["cluster"]["name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("Envoy's log:\n{}", self.log());
        }
    }
}
