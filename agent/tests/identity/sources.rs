//! Where the program finds a workload's identity, and what its Envoy then shows: from the control plane, from files, from somebody
//! else's socket.

use super::{
    ca::Ca,
    control_plane::{ControlPlane, ID, NAME},
    envoy::{binary, certificate, dechunked},
    world::{DEADLINE, Machine, within},
};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tombolo_agent::identity::{Provided, channel, sds::SdsServer};
use tombolo_proto::agent::{CREATE_CERTIFICATE, DELTA_ADS};

const HOUR: Duration = Duration::from_secs(3600);
const SOCKET: &str = "var/run/secrets/workload-spiffe-uds/socket";
const FILES: &str = "var/run/secrets/workload-spiffe-credentials";

/// The program, started in the machine's directory. It ends with its Envoy when dropped.
struct Process {
    directory: PathBuf,
    agent: Child,
}

impl Process {
    fn start(machine: &Machine, control_plane: &ControlPlane, envoy: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo-agent"));
        command.args(["run", "--discovery", &control_plane.address.to_string(), "--discovery-name", NAME]);
        command.args(["--namespace", "shop", "--service-account", "reviews", "--name", "reviews-1"]);
        command.args(["--address", "127.0.0.1", "--admin", "127.0.0.1:0", "--concurrency", "1"]);
        command.args(["--root-cert", "root-cert.pem", "--token", "token", "--state-dir", "state"]);
        command.arg("--envoy").arg(envoy).arg("--envoy-log-file").current_dir(machine.dir.path());
        let log = fs::File::create(machine.path("agent.log")).unwrap();
        let agent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { directory: machine.dir.path().to_owned(), agent }
    }

    /// Waits until Envoy's listener shows this certificate.
    async fn shows(&self, wanted: &CertificateDer<'static>) {
        self.until("Envoy shows the certificate", async || {
            let listeners = self.envoy("/listeners?format=json").await;
            let listeners: Value = serde_json::from_str(&listeners).unwrap_or_default();
            let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
            let Some(port) = port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) else {
                return false;
            };
            let shown = certificate(SocketAddr::from(([127, 0, 0, 1], port))).await;
            shown.as_ref() == Some(wanted)
        })
        .await;
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < DEADLINE, "{what}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A page of the program's own.
    async fn page(&self, path: &str) -> String {
        let told = fs::read(self.path("state/agent.json")).unwrap_or_default();
        let told: Value = serde_json::from_slice(&told).unwrap_or_default();
        match tokio::net::TcpStream::connect(told["admin"].as_str().unwrap_or("127.0.0.1:1")).await {
            Ok(stream) => ask(stream, path).await,
            Err(_) => String::new(),
        }
    }

    /// A page of Envoy's.
    async fn envoy(&self, path: &str) -> String {
        match tokio::net::UnixStream::connect(self.path("state/envoy-admin.sock")).await {
            Ok(stream) => ask(stream, path).await,
            Err(_) => String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn logs(&self) -> String {
        ["agent.log", "state/envoy.log"]
            .map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
            .join("---\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.agent.kill(); // it may have ended
        _ = self.agent.wait();
        let record: Value =
            serde_json::from_slice(&fs::read(self.path("state/envoy.json")).unwrap_or_default()).unwrap_or_default();
        if let Some(pid) = record["process"]["pid"].as_i64().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Asks for a page, on a connection of its own.
async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, path: &str) -> String {
    let mut answer = Vec::new();
    _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await;
    _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return String::new() };
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    if chunked { dechunked(body) } else { body.to_owned() }
}

/// Writes an identity as somebody else provides it, each file whole, and says which certificate it is.
fn provide(directory: &Path, ca: &Ca) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let now = SystemTime::now();
    let chain = ca.issue(&csr, ID, now - Duration::from_secs(60), now + HOUR);
    fs::create_dir_all(directory).unwrap();
    for (name, text) in [("root-cert.pem", ca.root()), ("cert-chain.pem", &chain[0]), ("key.pem", &key.serialize_pem())]
    {
        fs::write(directory.join("new"), text).unwrap();
        fs::rename(directory.join("new"), directory.join(name)).unwrap();
    }
    CertificateDer::from_pem_slice(chain[0].as_bytes()).unwrap()
}

/// Which certificate a control plane issued last, as the program keeps it.
fn issued(process: &Process) -> Option<CertificateDer<'static>> {
    let kept: Value = serde_json::from_slice(&fs::read(process.path("state/identity.json")).ok()?).ok()?;
    CertificateDer::from_pem_slice(kept["chain"].as_str()?.as_bytes()).ok()
}

#[tokio::test]
async fn where_nobody_else_provides_one_the_control_plane_is_asked() {
    let Some(envoy) = binary() else { return };
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    let process = Process::start(&machine, &control_plane, &envoy);
    process.until("a certificate is issued", async || issued(&process).is_some()).await;
    process.shows(&issued(&process).unwrap()).await;
    assert_eq!(control_plane.called().iter().filter(|path| *path == CREATE_CERTIFICATE).count(), 1);
}

#[tokio::test]
async fn files_are_served_and_followed_and_nothing_is_asked_for() {
    let Some(envoy) = binary() else { return };
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    let first = provide(&machine.path(FILES), &control_plane.ca);
    let process = Process::start(&machine, &control_plane, &envoy);
    process.shows(&first).await;
    let second = provide(&machine.path(FILES), &control_plane.ca);
    process.shows(&second).await;
    assert!(
        process.page("/metrics").await.contains("\ntombolo_agent_certificate_expiry_seconds 3"),
        "{}",
        process.logs()
    );
    assert!(control_plane.called().iter().all(|path| path == DELTA_ADS), "{:?}", control_plane.called());
}

#[tokio::test]
async fn envoy_asks_somebody_elses_socket_and_the_agent_has_no_part_in_it() {
    let Some(envoy) = binary() else { return };
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    // A provider of SDS, as SPIRE's agent is one; with files as well, the socket counts.
    let elsewhere = tempfile::tempdir().unwrap();
    let shown = provide(elsewhere.path(), &control_plane.ca);
    provide(&machine.path(FILES), &control_plane.ca);
    fs::create_dir_all(machine.path(SOCKET).parent().unwrap()).unwrap();
    let server = SdsServer::bind(&machine.path(SOCKET)).await.unwrap();
    let (publisher, mut current) = channel();
    let clock = Arc::new(SystemTime::now);
    let (provider, _) = Provided::new(elsewhere.path().into(), ID.parse().unwrap(), clock, publisher);
    tokio::spawn(provider.run());
    tokio::spawn(server.serve(current.clone()));
    within("what is provided", current.ready()).await;

    let process = Process::start(&machine, &control_plane, &envoy);
    process.shows(&shown).await;
    process.until("the proxy is ready", async || process.page("/healthz/ready").await == "ready\n").await;
    assert!(!process.path("state/sds.sock").exists() && !process.path("state/identity.json").exists());
    assert!(control_plane.called().iter().all(|path| path == DELTA_ADS), "{:?}", control_plane.called());
}
