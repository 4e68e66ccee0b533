//! A control plane as a process of its own, outside the cluster that it reads: ours, or another's.

use super::api_server::ApiServer;
use anyhow::{Context as _, bail, ensure};
use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tombolo_bench::{clock::Moment, machine};

use super::super::staging::LONG;

const DISCOVERY: &str = "tombolo-discovery";
const LOOK: Duration = Duration::from_millis(5);

/// Which control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Discovery,
    Istiod(PathBuf, Profile),
}

/// How another control plane is set up: as it comes, or with all that its flags and variables do for speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Default,
    Tuned,
}

/// A running one. Dropped, it is killed.
pub(super) struct Peer {
    process: Child,
    directory: TempDir,
    /// When it was started.
    pub(super) began: Moment,
    /// Where it serves proxies, without TLS.
    pub(super) address: SocketAddr,
}

impl Peer {
    /// Starts one, and waits until it takes connections. It need not answer them yet.
    pub(super) fn start(program: &Program, api: &ApiServer) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("bench-peer-").tempdir()?;
        let address = free_address()?;
        let mut command = match program {
            Program::Discovery => discovery(api, address)?,
            Program::Istiod(path, profile) => istiod(path, *profile, api, address, directory.path())?,
        };
        let log = fs::File::create(directory.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(directory.path());
        let began = Moment::now();
        let mut peer = Self { process: command.spawn()?, directory, began, address };
        peer.wait()?;
        Ok(peer)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + LONG;
        while TcpStream::connect(self.address).is_err() {
            ensure!(Instant::now() < end, "it takes no connections: {}", self.log());
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}: {}", self.log());
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// CPU seconds that it has used.
    pub(super) fn cpu(&self) -> anyhow::Result<f64> {
        Ok(machine::cpu_time(self.process.id())?.as_secs_f64())
    }

    /// The most memory that was resident, in megabytes.
    pub(super) fn peak(&self) -> anyhow::Result<f64> {
        Ok(machine::peak(self.process.id())? as f64 / 1e6)
    }

    /// The last of what it said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn discovery(api: &ApiServer, address: SocketAddr) -> anyhow::Result<Command> {
    let own = env::current_exe()?;
    let program = own.parent().unwrap_or(Path::new(".")).join(DISCOVERY);
    ensure!(program.is_file(), "{} is not built: cargo build --release -p {DISCOVERY}", program.display());
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG").arg("--kubeconfig").arg(&api.kubeconfig);
    command.arg("--plaintext").arg(address.to_string());
    for flag in ["--monitoring", "--health"] {
        command.arg(flag).arg(free_address()?.to_string());
    }
    Ok(command)
}

/// Limits as high as they go, changes gathered for a moment only, and those of endpoints not at all.
const TUNED: [(&str, &str); 5] = [
    ("PILOT_MAX_REQUESTS_PER_SECOND", "100000"),
    ("PILOT_PUSH_THROTTLE", "100"),
    ("PILOT_DEBOUNCE_AFTER", "1ms"),
    ("PILOT_DEBOUNCE_MAX", "50ms"),
    ("PILOT_ENABLE_EDS_DEBOUNCE", "false"),
];
const TUNED_FLAGS: [&str; 3] =
    ["--kubernetesApiQPS=5000", "--kubernetesApiBurst=10000", "--log_output_level=default:error"];

/// Its settings are those of the profile, whatever the environment of the benchmarks says. Nothing is injected and no webhook is written
/// to: neither is there.
fn istiod(
    program: &Path,
    profile: Profile,
    api: &ApiServer,
    address: SocketAddr,
    directory: &Path,
) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with("PILOT_"))
        .for_each(|(name, _)| _ = command.env_remove(name));
    command.arg("discovery").arg(format!("--kubeconfig={}", api.kubeconfig.display()));
    command.arg(format!("--grpcAddr={address}"));
    for flag in ["secureGRPCAddr", "httpAddr", "httpsAddr", "monitoringAddr"] {
        command.arg(format!("--{flag}={}", free_address()?));
    }
    let settings = [
        ("POD_NAME", "istiod-0"),
        ("POD_NAMESPACE", "istio-system"),
        ("INJECT_ENABLED", "false"),
        ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
        ("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER", "false"),
    ];
    command.envs(settings).env("ROOT_CA_DIR", directory);
    if profile == Profile::Tuned {
        command.envs(TUNED).args(TUNED_FLAGS);
    }
    Ok(command)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).context("no free port")
}
