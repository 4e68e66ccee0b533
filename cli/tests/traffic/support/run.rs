//! `tombolo run`, as a user starts it.

use super::{eventually, free_ports};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    env,
    error::Error,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::net::{TcpStream, UnixStream};

/// Runs a program until its own input ends, which it does when this test ends, however it ends; then interrupts the program,
/// waits for it, and removes the directory. `$1` is the directory.
const SUPERVISOR: &str = r#"directory=$1; shift; "$@" & read -r _; kill -INT $!; wait $!; rm -rf "$directory""#;

/// A run over `manifests` of a temporary directory.
pub(crate) struct Run {
    directory: PathBuf,
    admin: SocketAddr,
    // Its standard input is what keeps the run alive.
    _supervisor: Child,
}

impl Run {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(envoy: &Path, manifests: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("tombolo-").tempdir().unwrap().keep();
        let admin = SocketAddr::from(([127, 0, 0, 1], free_ports(1)[0]));
        let log = fs::File::create(directory.join("run.log")).unwrap();
        fs::create_dir(directory.join("manifests")).unwrap();
        fs::write(directory.join("manifests/base.yaml"), manifests).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(&directory).arg(env!("CARGO_BIN_EXE_tombolo")).arg("run");
        command.arg(directory.join("manifests")).arg("--state").arg(directory.join("state"));
        command.arg("--envoy").arg(envoy).args(["--admin", &admin.to_string(), "--drain", "1"]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let run = Self { directory, admin, _supervisor: command.spawn().unwrap() };
        let ready = eventually(async || run.page("/healthz/ready").await).await;
        ready.unwrap_or_else(|error| panic!("tombolo run is not ready: {error}\n{}", run.log()));
        run
    }

    /// Writes a file of manifests at once: there is never half of it.
    pub(crate) fn write(&self, name: &str, manifests: &str) {
        let path = self.directory.join("manifests").join(format!("{name}.yaml"));
        let new = self.directory.join(format!("{name}.new"));
        fs::write(&new, manifests).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Removes a file of manifests.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.directory.join("manifests").join(format!("{name}.yaml"))).unwrap();
    }

    /// Where it says that a Gateway's listener is: `infra/edge`, `http`.
    pub(crate) fn listening(&self, gateway: &str, listener: &str) -> Option<SocketAddr> {
        let log = self.log();
        let mut lines = log.lines().rev().filter_map(|line| line.strip_prefix(&format!("gateway {gateway}: ")));
        let line = lines
            .find(|line| line.split(" listener ").nth(1).is_some_and(|l| l.split(',').next() == Some(listener)))?;
        line.split("//").nth(1)?.split_whitespace().next()?.parse().ok()
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("run.log")).unwrap_or_default()
    }

    /// A page of its administration, as JSON.
    pub(crate) async fn json(&self, path: &str) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(serde_json::from_str(&self.page(path).await?)?)
    }

    async fn page(&self, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        get(TcpStream::connect(self.admin).await?, path).await
    }

    /// Its log, its problems, and where the Envoys' configuration was saved.
    pub(crate) async fn dump(&self) -> String {
        let problems = self.page("/debug/problems").await.unwrap_or_else(|error| error.to_string());
        let proxies = self.page("/debug/proxies").await.unwrap_or_else(|error| error.to_string());
        let mut dump = format!("--- log\n{}\n--- problems\n{problems}\n--- proxies\n{proxies}\n", self.log());
        for socket in self.files("sock") {
            let Ok(stream) = UnixStream::connect(&socket).await else { continue };
            let config = get(stream, "/config_dump?include_eds").await.unwrap_or_else(|error| error.to_string());
            let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(socket.file_name().unwrap()).with_extension("json");
            fs::write(&to, config).unwrap();
            dump += &format!("--- configuration of an Envoy: {}\n", to.display());
        }
        dump
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join("state")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
    }
}

async fn get(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().uri(path).header("host", "admin").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let text = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
    if status.is_success() { Ok(text) } else { Err(format!("{path}: {status}: {text}").into()) }
}

/// The Envoy to try: `ENVOY_BIN`, or the one that `make` fetched. Where there is none the tests are skipped and say so, but
/// with `CI=true` they fail.
pub(crate) fn envoy() -> Option<PathBuf> {
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
