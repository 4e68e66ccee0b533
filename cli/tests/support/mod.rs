//! What tests of the whole program need: a `tombolo run`, servers behind it, and a client in front.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::print_stdout)] // each test uses some of it

mod http;
mod ports;

pub use http::{Backend, get, get_from};
pub(crate) use ports::free_port;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Long enough for a busy machine; only failures take it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The Envoy to test with. Without one the test is skipped, unless `CI=true`.
pub fn envoy() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = variable("ENVOY_BIN") {
        return Some(named);
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let pythons = cache.and_then(|cache| fs::read_dir(cache.join("tombolo/envoy-venv/lib")).ok());
    let candidates = pythons.into_iter().flatten().flatten().map(|p| p.path().join("site-packages/envoy/_bin/envoy"));
    let found = candidates.into_iter().find(|path| path.is_file());
    assert!(found.is_some() || std::env::var("CI").as_deref() != Ok("true"), "needs Envoy: `make envoy`");
    if found.is_none() {
        println!("skipped, needs Envoy: `make envoy`");
    }
    found
}

pub fn tombolo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo"));
    command.env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

/// Waits for a condition.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A directory of manifests and a state directory, with a gateway `demo/edge` on a port of its own.
pub struct Mesh {
    directory: TempDir,
    pub port: u16,
    pub admin: u16,
    envoy: PathBuf,
}

impl Mesh {
    pub fn new(envoy: PathBuf) -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("m")).unwrap();
        let mesh = Self { directory, port: free_port(), admin: free_port(), envoy };
        mesh.write("gateway.yaml", &GATEWAY.replace("PORT", &mesh.port.to_string()));
        mesh
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("m").join(name)
    }

    /// Writes as editors do: a new file moved over the old one.
    pub fn write(&self, name: &str, text: &str) {
        let fresh = self.path(&format!(".{name}.new"));
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.path(name)).unwrap();
    }

    /// A route of all requests to a service, marked by a response header.
    pub fn route(&self, mark: &str, service: &str) {
        self.write("route.yaml", &ROUTE.replace("MARK", mark).replace("SERVICE", service));
    }

    /// A service whose endpoints are on these ports of 127.0.0.1.
    pub fn service(&self, name: &str, ports: &[u16]) {
        let slice = |port: &u16| SLICE.replace("NAME", name).replace("PORT", &port.to_string());
        let text = SERVICE.replace("NAME", name) + &ports.iter().map(slice).collect::<String>();
        self.write(&format!("{name}.yaml"), &text);
    }

    pub fn run(&self) -> Run {
        self.run_with(&[], &[])
    }

    /// With these arguments and variables besides.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &Path)]) -> Run {
        let mut command = tombolo();
        command.arg("run").arg(self.path("")).arg("--state").arg(self.directory.path().join("s"));
        command.arg("--envoy").arg(&self.envoy).arg("--admin").arg(format!("127.0.0.1:{}", self.admin));
        command.args(["--drain", "2"]).args(arguments).envs(variables.iter().copied());
        Run::start(command)
    }

    /// As if a run had been killed before it could write down which process it had started.
    pub fn forget_processes(&self) {
        for path in self.records() {
            let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            record["process"] = serde_json::Value::Null;
            fs::write(path, record.to_string()).unwrap();
        }
    }

    fn state(&self, prefix: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.directory.path().join("s")) else { return Vec::new() };
        let records = entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(prefix));
        records.map(|entry| entry.path()).collect()
    }

    fn records(&self) -> Vec<PathBuf> {
        self.state("proxy-")
    }

    /// What the agents' state directories hold.
    pub fn kept(&self, name: &str) -> Vec<PathBuf> {
        let directories = self.state("gateway-").into_iter().chain(self.state("workload-"));
        directories.map(|directory| directory.join(name)).collect()
    }

    /// The process ids of the Envoys that agents have written down.
    pub fn envoys(&self) -> Vec<i32> {
        self.kept("envoy.json").iter().filter_map(|path| recorded(path)).collect()
    }

    /// The process ids of the agents.
    pub fn agents(&self) -> Vec<i32> {
        self.kept("agent.json").iter().filter_map(|path| recorded(path)).collect()
    }

    /// Waits until some agent has logged a line that holds all of these words.
    pub fn logs(&self, words: &[&str]) {
        let logged = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let holds = |line: &str| words.iter().all(|word| line.contains(word));
        until(&format!("{words:?} in an agent's log"), || {
            self.kept("agent.log").into_iter().any(|path| logged(path).lines().any(holds)).then_some(())
        });
    }

    /// A page of the admin interface.
    pub fn page(&self, path: &str) -> Option<String> {
        get_from(self.admin, path).filter(|(status, _, _)| *status == 200).map(|(_, _, body)| body)
    }

    /// The sum of a counter over its labels; 0 where it is not shown, as counters are before they have counted anything.
    pub fn counter(&self, name: &str) -> u64 {
        let page = self.page("/metrics").unwrap();
        let prefix = format!("{name}_total");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Mesh {
    /// A failed test leaves nothing behind.
    fn drop(&mut self) {
        // Agents first: they would start their Envoys again.
        for pid in self.agents().into_iter().chain(self.envoys()) {
            kill(pid, "KILL");
        }
    }
}

/// A `tombolo run`.
pub struct Run {
    pub child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let lines = lines.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        Self { child, lines }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits for a line that holds all of these words.
    pub fn says(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines.lock().unwrap().clone();
            if let Some(line) = lines.iter().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "never said {words:?}, but:\n{}", lines.join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn interrupt(&mut self) -> i32 {
        kill(self.pid(), "INT");
        self.child.wait().unwrap().code().unwrap()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The process of a record.
fn recorded(path: &Path) -> Option<i32> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    i32::try_from(record["process"]["pid"].as_i64()?).ok()
}

pub fn kill(pid: i32, signal: &str) {
    _ = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Whether a process runs; one that only waits for its parent to take note does not.
pub fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

const GATEWAY: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tombolo}
spec: {controllerName: mesh.tombolo.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: demo}
spec:
  gatewayClassName: tombolo
  listeners:
    - {name: web, port: PORT, protocol: HTTP}
";

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {set: [{name: x-mark, value: \"MARK\"}]}
      backendRefs: [{name: SERVICE, port: 80}]
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: demo}
spec: {ports: [{name: http, port: 80}]}
";

const SLICE: &str = "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: NAME-PORT, namespace: demo, labels: {kubernetes.io/service-name: NAME}}
addressType: IPv4
ports: [{name: http, port: PORT}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
";
