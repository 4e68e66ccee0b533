//! What an agent keeps on disk, and which processes it and its Envoy are.

use super::support::{is_running, kill};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// One proxy: an agent with its Envoy.
#[derive(Clone)]
pub(crate) struct Agent {
    /// Its state directory.
    pub(crate) state: PathBuf,
    record: PathBuf,
}

impl Agent {
    /// Every proxy that a run's state directory knows.
    pub(crate) fn all(state: &Path) -> Vec<Self> {
        let entries = fs::read_dir(state).into_iter().flatten().flatten();
        let proxies = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let proxy = name.strip_prefix("proxy-")?.strip_suffix(".json")?;
            Some(Self { state: state.join(proxy), record: entry.path() })
        });
        proxies.collect()
    }

    /// Whether it is a Gateway's.
    pub(crate) fn is_gateway(&self) -> bool {
        self.state.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gateway-"))
    }

    /// The agent that the run knows, if it runs.
    pub(crate) fn pid(&self) -> Option<i32> {
        running(&self.record)
    }

    /// Its Envoy, if it runs.
    pub(crate) fn envoy(&self) -> Option<i32> {
        running(&self.state.join("envoy.json"))
    }

    /// The certificate that it holds, and those that lead from it to a root.
    pub(crate) fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.identity()?["chain"].as_str()?.to_owned();
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().ok()
    }

    /// The certificate that it holds.
    pub(crate) fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.chain()?.into_iter().next()
    }

    /// The roots that it trusts.
    pub(crate) fn roots(&self) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.identity()?["roots"].as_str()?.to_owned();
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().ok()
    }

    /// The key of its certificate.
    pub(crate) fn key(&self) -> Option<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.identity()?["key"].as_str()?.as_bytes()).ok()
    }

    fn identity(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.state.join("identity.json")).ok()?).ok()
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.state.join("agent.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// The process that a file tells of, if it is still there.
fn running(record: &Path) -> Option<i32> {
    let record: Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    let pid = i32::try_from(record["process"]["pid"].as_i64()?).ok()?;
    is_running(pid).then_some(pid)
}

/// How a process was started, from what the system tells of it: to start it again as it was.
pub(crate) struct CommandLine {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl CommandLine {
    pub(crate) fn of(pid: i32) -> Self {
        let read = |what: &str| -> Vec<String> {
            let text = fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap();
            text.split_terminator('\0').map(str::to_owned).collect()
        };
        let pair = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { arguments: read("cmdline"), environment: read("environ").into_iter().filter_map(pair).collect() }
    }

    /// Starts it again, logging to a file.
    pub(crate) fn start(&self, log: &Path) -> ByHand {
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(&self.arguments[0]);
        command.args(&self.arguments[1..]).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        ByHand(command.spawn().unwrap())
    }
}

/// A process that no run knows. It ends with the test.
pub(crate) struct ByHand(Child);

impl ByHand {
    /// Ends the agent alone, as an upgrade does: its Envoy is left to the next one.
    pub(crate) fn leave(&mut self) {
        kill(i32::try_from(self.0.id()).unwrap(), "USR1");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        _ = self.0.kill(); // it may have ended
        _ = self.0.wait();
    }
}
