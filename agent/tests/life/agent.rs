//! The program, as a machine or a pod runs it.

use crate::support::{DEADLINE, eventually, free_address, program};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A machine with an agent.
struct Machine {
    directory: TempDir,
    admin: SocketAddr,
    agent: Child,
}

impl Machine {
    fn new(envoy: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("agent-").tempdir().unwrap();
        let admin = free_address();
        let agent = start(envoy, directory.path(), admin);
        Self { directory, admin, agent }
    }

    fn start_again(&mut self, envoy: &Path) {
        self.agent = start(envoy, self.directory.path(), self.admin);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.agent.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        let agent = std::cell::RefCell::new(&mut self.agent);
        eventually(|| async { agent.borrow_mut().try_wait().unwrap().ok_or("the agent still runs") }).await
    }

    /// Its Envoy, once it runs.
    async fn envoy(&self) -> (i32, bool) {
        eventually(|| async {
            let debug: Value =
                serde_json::from_str(&self.page(Method::GET, "/debug").await?.1).map_err(|e| e.to_string())?;
            let envoy = &debug["envoy"];
            match (envoy["phase"].as_str(), envoy["pid"].as_i64()) {
                (Some("running"), Some(pid)) => Ok((pid.try_into().unwrap(), envoy["taken_over"] == true)),
                _ => Err(debug.to_string()),
            }
        })
        .await
    }

    async fn page(&self, method: Method, path: &str) -> Result<(u16, String), String> {
        let text = |error: hyper::Error| error.to_string();
        let stream = TcpStream::connect(self.admin).await.map_err(|error| format!("{error}\n{}", self.log()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "agent");
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.map_err(text)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(text)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("agent.log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = self.agent.kill();
        _ = self.agent.wait();
        let record = fs::read(self.directory.path().join("state/envoy.json")).unwrap_or_default();
        let pid = serde_json::from_slice::<Value>(&record).ok().and_then(|record| record["process"]["pid"].as_i64());
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn start(envoy: &Path, directory: &Path, admin: SocketAddr) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo-agent"));
    command.arg("run").arg("--state-dir").arg(directory.join("state")).arg("--envoy").arg(envoy);
    command.args(["--admin", &admin.to_string(), "--discovery", "127.0.0.1:1", "--name", "vm-1", "--concurrency", "1"]);
    command.arg("--envoy-log-file").arg("--drain-on").arg(directory.join("drain"));
    command.env("NOTIFY_SOCKET", directory.join("notify.sock"));
    let log = fs::File::options().create(true).append(true).open(directory.join("agent.log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn envoy_outlives_an_agent_that_is_killed_or_replaced_and_ends_with_one_that_is_told_to_end() {
    let Some(envoy) = program() else { return };
    let mut machine = Machine::new(&envoy);
    let (pid, taken_over) = machine.envoy().await;
    assert!(!taken_over);
    for signal in [Signal::KILL, Signal::USR1] {
        machine.signal(signal);
        assert_eq!(machine.ended().await.success(), signal == Signal::USR1);
        assert!(runs(pid), "after {signal:?}");
        machine.start_again(&envoy);
        assert_eq!(machine.envoy().await, (pid, true), "after {signal:?}");
    }
    machine.signal(Signal::TERM);
    assert!(machine.ended().await.success());
    assert!(!runs(pid), "{}", machine.log());
}

#[tokio::test]
async fn the_supervisor_is_told() {
    let Some(envoy) = program() else { return };
    let mut machine = Machine::new(&envoy);
    machine.envoy().await;
    machine.signal(Signal::USR1);
    machine.ended().await;
    let supervisor = UnixDatagram::bind(machine.directory.path().join("notify.sock")).unwrap();
    supervisor.set_read_timeout(Some(DEADLINE)).unwrap();
    machine.start_again(&envoy);
    let mut told = [0; 4096];
    let mut hear = |expected: &str| {
        loop {
            let count = supervisor.recv(&mut told).unwrap();
            if String::from_utf8_lossy(&told[..count]).starts_with(expected) {
                return;
            }
        }
    };
    hear("STATUS=not ready: no certificate yet");
    machine.signal(Signal::TERM);
    hear("STOPPING=1");
    assert!(machine.ended().await.success());
}

#[tokio::test]
async fn pages_tell_of_readiness_and_metrics() {
    let Some(envoy) = program() else { return };
    let machine = Machine::new(&envoy);
    machine.envoy().await;
    assert_eq!(machine.page(Method::GET, "/healthz/live").await.unwrap().0, 200);
    eventually(|| async {
        let (status, reasons) = machine.page(Method::GET, "/healthz/ready").await?;
        let waits = status == 503 && reasons.contains("Envoy is not live yet: PRE_INITIALIZING");
        if waits { Ok(()) } else { Err(reasons) }
    })
    .await;
    let metrics = eventually(|| async {
        let (status, metrics) = machine.page(Method::GET, "/metrics").await?;
        let both = status == 200
            && metrics.contains("\ntombolo_agent_envoy_answers 1\n")
            && metrics.contains("\nenvoy_server_live");
        if both { Ok(metrics) } else { Err(metrics) }
    })
    .await;
    assert_valid(&metrics);
    let (_, some) = machine.page(Method::GET, "/metrics?filter=server.live").await.unwrap();
    assert!(some.contains("envoy_server_live ") && some.len() < metrics.len(), "{some}");
    assert!(metrics.contains("tombolo_agent_ready 0\n") && metrics.contains("tombolo_agent_envoy_restarts_total 0\n"));
    assert_eq!(machine.page(Method::GET, "/drain").await.unwrap().0, 405);
    assert_eq!(machine.page(Method::GET, "/nothing").await.unwrap().0, 404);
}

/// Prometheus' text format: described families come once and before their samples, and samples of a family stand together.
fn assert_valid(text: &str) {
    let (mut seen, mut current) = (HashSet::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# HELP ")) {
        if let Some(description) = line.strip_prefix("# TYPE ") {
            let (name, kind) = description.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            assert!(seen.insert(name.to_owned()), "described twice: {line}");
            current = name.to_owned();
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(value.parse::<f64>().is_ok() || ["+Inf", "-Inf", "NaN"].contains(&value), "{line}");
        let family = name.split('{').next().unwrap();
        let part = family.strip_prefix(&current).unwrap_or_else(|| panic!("{line} stands among those of {current}"));
        assert!(["", "_bucket", "_sum", "_count"].contains(&part), "{line} stands among those of {current}");
        assert!(name == family || name.ends_with('}'), "{line}");
    }
}

#[tokio::test]
async fn a_hook_drains_and_leaves_the_end_to_the_signal() {
    let Some(envoy) = program() else { return };
    for by in ["command", "file"] {
        let mut machine = Machine::new(&envoy);
        let (pid, _) = machine.envoy().await;
        if by == "command" {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo-agent"));
            let command = command.args(["drain", "--admin", &machine.admin.to_string()]).stdin(Stdio::null());
            let status = tokio::process::Command::from(std::mem::replace(command, Command::new("true"))).status();
            assert!(tokio::time::timeout(DEADLINE, status).await.unwrap().unwrap().success());
        } else {
            fs::write(machine.directory.path().join("drain"), "").unwrap();
        }
        eventually(|| async {
            let (_, debug) = machine.page(Method::GET, "/debug").await?;
            if debug.contains("\"phase\": \"drained\"") { Ok(()) } else { Err(debug) }
        })
        .await;
        let reasons = eventually(|| async {
            let (status, reasons) = machine.page(Method::GET, "/healthz/ready").await?;
            if status == 503 && reasons.contains("draining") { Ok(reasons) } else { Err(reasons) }
        });
        reasons.await;
        assert!(runs(pid));
        assert_eq!(machine.page(Method::POST, "/quitquitquit").await.unwrap().0, 200);
        assert!(machine.ended().await.success());
        assert!(!runs(pid));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_said_and_nothing_is_started() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo-agent"));
        let output = command.args(arguments).env_remove("CA_ADDR").stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&["run"]);
    assert!(code == Some(2) && said.contains("--discovery"), "{said}");
    let (code, said) = run(&["run", "--config", "/no/such/file"]);
    assert!(code == Some(2) && said.contains("/no/such/file") && said.contains("--config"), "{said}");
    let (code, said) = run(&["drain", "--admin", "127.0.0.1:1"]);
    assert!(code == Some(2) && said.contains("--admin"), "{said}");
}
