//! A real Envoy, configured over ADS.

use super::{DEADLINE, eventually};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// `DELTA_GRPC` or `GRPC`, as Envoy's bootstrap has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Delta,
    World,
}

/// An Envoy; killed when dropped.
pub(crate) struct Envoy {
    process: Child,
    dir: TempDir,
    admin: SocketAddr,
}

/// The binary; `None`, with a word about it, where there is none. With `CI=true` that is a failure.
pub(crate) fn binary() -> Option<PathBuf> {
    let cache = || {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let lib = std::fs::read_dir(base.join("tombolo/envoy-venv/lib")).ok()?;
        lib.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.exists())
    };
    let found = std::env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(cache);
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Envoy is needed: set ENVOY_BIN");
        println!("skipped, needs Envoy: set ENVOY_BIN to one");
    }
    found
}

impl Envoy {
    /// Starts one against an ADS server. `None` where there is no binary.
    pub(crate) async fn start(protocol: Protocol, ads: SocketAddr) -> Option<Self> {
        let binary = binary()?;
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("envoy.json");
        std::fs::write(&config, bootstrap(protocol, ads).to_string()).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let admin = dir.path().join("admin");
        let process = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { process, dir, admin: ([127, 0, 0, 1], 0).into() };
        let start = Instant::now();
        while envoy.admin.port() == 0 {
            assert!(start.elapsed() < DEADLINE, "Envoy does not start: {}", envoy.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            envoy.admin =
                std::fs::read_to_string(&admin).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(envoy.admin);
        }
        Some(envoy)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the admin interface says.
    pub(crate) async fn get(&self, path: &str) -> String {
        let stream = TokioIo::new(TcpStream::connect(self.admin).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get(path).header("host", "admin").body(Empty::<Bytes>::new()).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        String::from_utf8_lossy(&body).into_owned()
    }

    async fn dump(&self, section: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/config_dump?resource={section}")).await).unwrap_or_default()
    }

    /// The names of clusters of a section, `dynamic_active_clusters` or `dynamic_warming_clusters`, sorted.
    pub(crate) async fn clusters(&self, section: &str) -> Vec<String> {
        let dump = self.dump(section).await;
        let configs = dump["configs"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            configs.iter().filter_map(|c| Some(c["cluster"]["name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// The connect timeout of an active cluster, as `1s`.
    pub(crate) async fn connect_timeout(&self, cluster: &str) -> Option<String> {
        let dump = self.dump("dynamic_active_clusters").await;
        let found = dump["configs"].as_array()?.iter().find(|c| c["cluster"]["name"] == cluster)?.clone();
        Some(found["cluster"]["connect_timeout"].as_str()?.to_owned())
    }

    /// The cluster that a route table of one route sends to.
    pub(crate) async fn routed_to(&self, table: &str) -> Option<String> {
        let dump = self.dump("dynamic_route_configs").await;
        let found = dump["configs"].as_array()?.iter().find(|c| c["route_config"]["name"] == table)?.clone();
        Some(found["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"].as_str()?.to_owned())
    }

    /// Whether a cluster has an endpoint on this port of loopback.
    pub(crate) async fn has_endpoint(&self, cluster: &str, port: u16) -> bool {
        self.get("/clusters").await.contains(&format!("{cluster}::127.0.0.1:{port}::"))
    }

    /// A counter or gauge; 0 where there is none.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let text = self.get(&format!("/stats?filter=^{name}$")).await;
        text.trim().rsplit(": ").next().and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Waits until the active clusters are these, and none is warming.
    pub(crate) async fn settles_on(&self, names: &[&str]) {
        eventually(&format!("active clusters {names:?}"), || async {
            self.clusters("dynamic_active_clusters").await == names
                && self.clusters("dynamic_warming_clusters").await.is_empty()
        })
        .await;
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

fn bootstrap(protocol: Protocol, ads: SocketAddr) -> Value {
    let api_type = match protocol {
        Protocol::Delta => "DELTA_GRPC",
        Protocol::World => "GRPC",
    };
    let upstream = |name: &str, address: SocketAddr| {
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": address.ip().to_string(), "port_value": address.port()}}}}]}]},
        })
    };
    let by_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    json!({
        "node": {"id": "envoy", "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": {"api_type": api_type, "transport_api_version": "V3", "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "ads"}}]},
            "cds_config": by_ads, "lds_config": by_ads,
        },
        "static_resources": {"clusters": [upstream("ads", ads), upstream("nowhere", ([127, 0, 0, 1], 1).into())]},
    })
}
