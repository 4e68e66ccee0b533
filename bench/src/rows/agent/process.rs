//! The agent's program, as a machine runs it.

use super::super::secured::{ADDRESS, Secured, WORKLOAD, namespace};
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
const PROGRAM: &str = "tombolo-agent";
/// In the place of Envoy.
const SLEEPER: &str = "#!/bin/sh\nexec sleep 600\n";

/// A running agent. Dropped, it is killed, and its "Envoy" with it.
pub(super) struct Agent {
    process: Child,
    directory: TempDir,
    admin: SocketAddr,
    /// Where it answers DNS.
    pub(super) dns: SocketAddr,
}

impl Agent {
    /// Starts one whose control plane is reached at an address.
    pub(super) fn start(secured: &Secured, discovery: SocketAddr) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("bench-agent-").tempdir()?;
        let (admin, dns) = (free_address()?, free_address()?);
        let at = |name: &str| directory.path().join(name);
        fs::write(at("token"), secured.token()?)?;
        fs::write(at("roots.pem"), secured.roots())?;
        fs::write(at("resolv.conf"), "")?;
        fs::write(at("envoy"), SLEEPER)?;
        fs::set_permissions(at("envoy"), fs::Permissions::from_mode(0o700))?;
        let files = [
            ("state-dir", "state"),
            ("token", "token"),
            ("root-cert", "roots.pem"),
            ("resolv-conf", "resolv.conf"),
            ("envoy", "envoy"),
        ];
        let told = [
            ("discovery", discovery.to_string()),
            ("namespace", namespace()),
            ("service-account", WORKLOAD.into()),
            ("name", WORKLOAD.into()),
            ("address", ADDRESS.to_string()),
            ("admin", admin.to_string()),
            ("dns", "true".into()),
            ("dns-address", dns.to_string()),
        ];
        let mut command = Command::new(program()?);
        command.arg("run").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(at("log"))?);
        files.into_iter().for_each(|(flag, file)| _ = command.arg(format!("--{flag}")).arg(at(file)));
        told.into_iter().for_each(|(flag, value)| _ = command.arg(format!("--{flag}")).arg(value));
        Ok(Self { process: command.spawn()?, directory, admin, dns })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where Envoy would ask for its config.
    pub(super) fn socket(&self) -> PathBuf {
        self.state().join("xds.sock")
    }

    /// Waits until it knows so many names.
    pub(super) fn wait_for_names(&self, count: usize, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        loop {
            let names = self.names();
            match &names {
                Ok(found) if *found >= count => return Ok(()),
                _ if Instant::now() < end => sleep(LOOK),
                _ => bail!("after {within:?} the agent knows {names:?} names of {count}: {}", self.log()),
            }
        }
    }

    fn names(&self) -> anyhow::Result<usize> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.write_all(b"GET /debug HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
        let debug: Value = serde_json::from_str(body)?;
        Ok(usize::try_from(debug["dns"]["names"].as_u64().context("no names")?)?)
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The last of what it said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
        // A killed agent leaves its Envoy to the next one.
        let record = fs::read(self.state().join("envoy.json")).unwrap_or_default();
        let pid = serde_json::from_slice::<Value>(&record).ok().and_then(|record| record["process"]["pid"].as_i64());
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Cargo puts it beside this one.
fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let program = own.parent().unwrap_or(Path::new(".")).join(PROGRAM);
    ensure!(program.is_file(), "{} is not built: cargo build --release -p {PROGRAM}", program.display());
    Ok(program)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
