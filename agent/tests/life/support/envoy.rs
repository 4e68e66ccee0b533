//! A real Envoy, with a listener of its own, in a state directory of its own.

use super::{eventually, free_address};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    env,
    error::Error,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tombolo_agent::envoy::{
    Client, Control, DrainSettings, Kind, Log, Node, Paths, Phase, Settings, Status, bootstrap,
};
use tombolo_proto::bootstrap::Limits;

/// A state directory, and the port of the listener that its Envoy gets. What still runs is ended with it.
pub(crate) struct Home {
    directory: TempDir,
    program: PathBuf,
    pub(crate) address: SocketAddr,
    application: SocketAddr,
}

impl Home {
    pub(crate) fn new(program: &Path, application: SocketAddr) -> Self {
        let directory = tempfile::Builder::new().prefix("life-").tempdir().unwrap();
        Self { directory, program: program.to_owned(), address: free_address(), application }
    }

    /// That of another process.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(&self.program, self.path(), self.address, self.application)
    }

    pub(crate) fn client(&self) -> Client {
        Client::at(self.directory.path().join("envoy-admin.sock"))
    }

    /// Asks through Envoy, on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        get(self.address, path).await
    }

    /// Waits until the application answers through Envoy.
    pub(crate) async fn serves(&self) {
        eventually(|| self.get("/")).await;
    }
}

impl Drop for Home {
    /// A test that failed leaves no Envoy: the record tells of it.
    fn drop(&mut self) {
        let record = fs::read(self.directory.path().join("envoy.json")).unwrap_or_default();
        let pid = serde_json::from_slice::<Value>(&record).ok().and_then(|record| record["process"]["pid"].as_i64());
        if let Some(pid) = pid.and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?)) {
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let request = Request::builder().uri(path).header("host", "web").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let text = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
    if status.is_success() { Ok(text) } else { Err(format!("{path}: {status}: {text}").into()) }
}

/// An Envoy with one listener, whose config comes from files instead of a control plane.
pub(crate) fn settings(program: &Path, directory: &Path, address: SocketAddr, application: SocketAddr) -> Settings {
    let paths = Paths::new(directory).unwrap();
    let node = Node {
        kind: Kind::Sidecar,
        name: "web".into(),
        namespace: "shop".into(),
        service_cluster: None,
        service_account: "web".into(),
        domain: "cluster.local".into(),
        addresses: vec![address.ip()],
        labels: [].into(),
        metadata: serde_json::Map::new(),
    };
    let mut bootstrap = bootstrap(&node, &paths, Limits::default()).to_json();
    bootstrap["dynamic_resources"] = json!({
        "lds_config": from_file(paths.directory(), "lds", &listener(address)),
        "cds_config": from_file(paths.directory(), "cds", &cluster(application)),
    });
    Settings {
        program: program.to_owned(),
        log: Log::File(paths.log()),
        paths,
        bootstrap,
        drain: DrainSettings { deadline: Duration::from_secs(20), ..DrainSettings::default() },
        log_level: "warning".into(),
        concurrency: Some(1),
    }
}

fn from_file(directory: &Path, name: &str, resource: &Value) -> Value {
    let path = directory.join(format!("{name}.json"));
    // Written again by a second agent, the same: moved into place, as Envoy may be reading it.
    let new = path.with_extension("new");
    fs::write(&new, json!({"version_info": "1", "resources": [resource]}).to_string()).unwrap();
    fs::rename(new, &path).unwrap();
    json!({"path_config_source": {"path": path}, "resource_api_version": "V3"})
}

fn listener(address: SocketAddr) -> Value {
    const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions.filters";
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "in",
        "address": {"socket_address": {"address": address.ip(), "port_value": address.port()}},
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "in",
                "route_config": {"virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application", "timeout": "0s"}}],
                }]},
                "http_filters": [{
                    "name": "router",
                    "typed_config": {"@type": format!("{EXTENSIONS}.http.router.v3.Router")},
                }],
            },
        }]}],
    })
}

fn cluster(application: SocketAddr) -> Value {
    let address = json!({"socket_address": {"address": application.ip(), "port_value": application.port()}});
    json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "application",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "application",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

/// Waits until an Envoy runs, and says which.
pub(crate) async fn running(control: &Control) -> Status {
    let mut status = control.status();
    let running = status.wait_for(|status| status.phase == Phase::Running);
    tokio::time::timeout(super::DEADLINE, running).await.expect("it runs in time").unwrap().clone()
}

/// The Envoy to try: `ENVOY_BIN`, or the one that `make` fetched. Where there is none the tests are skipped and say so, but
/// with `CI=true` they fail.
pub(crate) fn program() -> Option<PathBuf> {
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
