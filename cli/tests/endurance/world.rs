//! A mesh of one gateway and one workload, each an agent with its Envoy, and the `tombolo run` that serves them.

use super::{
    agents::Agent,
    app::App,
    client::Request,
    support::{self, PATIENCE, free_port, kill, tombolo},
};
use serde_json::Value;
use std::{
    env, fs,
    fs::OpenOptions,
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The name of the workload's service.
pub(crate) const SERVICE: &str = "web.shop.example";

/// The mesh. When it is dropped nothing of it is left.
pub(crate) struct World {
    directory: TempDir,
    envoy: PathBuf,
    admin: u16,
    /// But for the spec of the MeshInstallation.
    manifests: String,
    /// Where the gateway listens.
    pub(crate) gateway: SocketAddrV4,
    /// Where the workload's Envoy takes the mesh's calls.
    pub(crate) workload: SocketAddrV4,
    /// The workload's application.
    pub(crate) app: App,
    run: Option<Child>,
}

impl World {
    /// One with this `spec` of its MeshInstallation. `None` where there is no Envoy or no agent to test with.
    pub(crate) fn start(spec: &str) -> Option<Self> {
        Self::start_with(spec, &[])
    }

    /// One with more files of manifests.
    pub(crate) fn start_with(spec: &str, files: &[(&str, &str)]) -> Option<Self> {
        let envoy = support::envoy()?;
        agent_is_built().then_some(())?;
        let (directory, app) = (TempDir::new().unwrap(), App::start());
        let gateway = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port());
        let workload = SocketAddrV4::new(own_address(), app.port);
        fs::create_dir(directory.path().join("m")).unwrap();
        let manifests = MANIFESTS
            .replace("GATEWAY", &gateway.port().to_string())
            .replace("ADDRESS", &workload.ip().to_string())
            .replace("PORT", &workload.port().to_string());
        let mut world = Self { directory, envoy, admin: free_port(), manifests, gateway, workload, app, run: None };
        world.respec(spec);
        files.iter().for_each(|(name, text)| world.write(name, text));
        world.run();
        world.until("the gateway reaches the workload by mutual TLS", || {
            world.get("/").ok().filter(|(status, body)| *status == 200 && body.contains("Hash=")).map(drop)
        });
        Some(world)
    }

    /// Gives the MeshInstallation another spec.
    pub(crate) fn respec(&self, spec: &str) {
        self.write("mesh.yaml", &self.manifests.replace("SPEC", spec));
    }

    /// Writes a file of manifests, as editors do: a new one moved over the old one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = |name: &str| self.directory.path().join("m").join(name);
        fs::write(path(&format!(".{name}.new")), text).unwrap();
        fs::rename(path(&format!(".{name}.new")), path(name)).unwrap();
    }

    /// Starts `tombolo run`.
    pub(crate) fn run(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = tombolo();
        command.arg("run").arg(self.directory.path().join("m")).arg("--state").arg(self.state());
        command.arg("--envoy").arg(&self.envoy).args(["--admin", &format!("127.0.0.1:{}", self.admin)]);
        command.args(["--drain", "1"]).stdout(log.try_clone().unwrap()).stderr(log);
        self.run = Some(command.spawn().unwrap());
    }

    /// Kills `tombolo run`, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut run = self.run.take().unwrap();
        run.kill().unwrap();
        run.wait().unwrap();
    }

    /// The gateway's proxy and the workload's.
    pub(crate) fn agents(&self) -> [Agent; 2] {
        let agents = Agent::all(&self.state());
        [true, false].map(|gateway| agents.iter().find(|agent| agent.is_gateway() == gateway).unwrap().clone())
    }

    /// Where one of the ports is at which the workload's agent and Envoy serve the workload.
    pub(crate) fn at_workload(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(*self.workload.ip(), port)
    }

    /// A request through the gateway.
    pub(crate) fn get(&self, target: &str) -> std::io::Result<(u16, String)> {
        Request { to: self.gateway, target, host: "any.example", marker: "" }.answer()
    }

    /// A page of the run's administration.
    pub(crate) fn page(&self, path: &str) -> Option<String> {
        support::get_from(self.admin, path).filter(|(status, ..)| *status == 200).map(|(.., body)| body)
    }

    /// Likewise, as JSON.
    pub(crate) fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.page(path)?).ok()
    }

    /// Sends an empty POST to the run's administration.
    pub(crate) fn post(&self, path: &str) -> std::io::Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.admin))?;
        write!(stream, "POST {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The sum of a counter over its labels; 0 where it is not shown, as counters are before they have counted anything.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let (page, prefix) = (self.page("/metrics").unwrap(), format!("{name}_total"));
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits for a condition; tells all that is known where it does not come true.
    pub(crate) fn until<T>(&self, what: &str, condition: impl FnMut() -> Option<T>) -> T {
        self.within(PATIENCE, what, condition)
    }

    /// Likewise, for what takes its time.
    pub(crate) fn within<T>(&self, patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = condition() {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {patience:?}: {what}\n{}", self.dump());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn dump(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let agents = Agent::all(&self.state());
        let agents = agents.iter().map(|agent| format!("--- {}\n{}\n", agent.state.display(), agent.log()));
        let proxies = self.page("/debug/proxies").unwrap_or_default();
        format!("--- run\n{log}\n{}--- proxies\n{proxies}", agents.collect::<String>())
    }

    /// The state directory of the run.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("run.log")
    }
}

impl Drop for World {
    /// From the top: nobody is left who would start anew what is killed next.
    fn drop(&mut self) {
        if self.run.is_some() {
            self.kill();
        }
        let agents = Agent::all(&self.state());
        agents.iter().filter_map(Agent::pid).for_each(|pid| kill(pid, "KILL"));
        agents.iter().filter_map(Agent::envoy).for_each(|pid| kill(pid, "KILL"));
    }
}

/// Whether there is an agent beside `tombolo`. Where there is none the test is skipped, unless `CI=true`.
#[allow(clippy::print_stdout)] // says why a test does nothing
fn agent_is_built() -> bool {
    let built = Path::new(env!("CARGO_BIN_EXE_tombolo")).with_file_name("tombolo-agent").is_file();
    assert!(built || env::var("CI").as_deref() != Ok("true"), "needs the agent: `cargo build -p tombolo-agent`");
    if !built {
        println!("skipped, needs the agent: `cargo build -p tombolo-agent`");
    }
    built
}

/// A loopback address that no other test has, of this process or of one that runs beside it.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [.., b, c] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + COUNT.fetch_add(1, Ordering::Relaxed), b, c.clamp(1, 254))
}

const MANIFESTS: &str = "\
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
spec: SPEC
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: tombolo
  listeners: [{name: http, port: GATEWAY, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{group: networking.istio.io, kind: Hostname, name: web.shop.example, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.shop.example]
  location: MESH_INTERNAL
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: PORT}]
  resolution: STATIC
  workloadSelector: {labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1, namespace: shop, annotations: {mesh.tombolo.dev/agent: local}}
spec: {address: ADDRESS, labels: {app: web}, serviceAccount: web}
";
