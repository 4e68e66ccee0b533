//! Not one request fails, whatever happens to the control plane.

use crate::support::{Backend, Mesh, envoy, get, until};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const SECONDS: u32 = 30;
const EDITS: u32 = 30;
const REQUESTS_PER_SECOND: u32 = 200;
const CLIENTS: u32 = 8;

/// Requests at a steady rate, from several clients, each request on a connection of its own.
struct Load {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(port: u16) -> Self {
        let (over, sent, failures) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { over, sent, failures, clients: Vec::new() };
        for _ in 0..CLIENTS {
            let (over, sent, failures) = (load.over.clone(), load.sent.clone(), load.failures.clone());
            load.clients.push(thread::spawn(move || {
                let (start, mut turn) = (Instant::now(), 0);
                while !over.load(Ordering::Relaxed) {
                    match get(port, "/") {
                        Ok((200, ..)) => {}
                        Ok((status, head, body)) => failures.lock().unwrap().push(format!("{status} {head} {body}")),
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    // Paced by the clock, not by the answers: one that is late is followed at once.
                    turn += 1;
                    let due = Duration::from_secs(1) * turn * CLIENTS / REQUESTS_PER_SECOND;
                    thread::sleep(due.saturating_sub(start.elapsed()));
                }
            }));
        }
        load
    }

    fn end(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        (self.sent.load(Ordering::Relaxed), self.failures.lock().unwrap().clone())
    }
}

/// One edit a second: the route changes each time, and every third time an endpoint comes or goes. That first: once the route is in
/// effect, so is all that came before it.
fn edit(mesh: &Mesh, n: u32, ports: &[u16; 2]) {
    if n.is_multiple_of(3) {
        mesh.service("app", if n.is_multiple_of(2) { ports } else { &ports[..1] });
    }
    mesh.route(&n.to_string(), "app");
}

fn mark(mesh: &Mesh) -> Option<String> {
    let (_, head, _) = get(mesh.port, "/").ok()?;
    head.lines().find_map(|line| line.strip_prefix("x-mark: ")).map(str::to_owned)
}

/// True once the Envoy has asked the new control plane for all that it has.
fn has_come_back(mesh: &Mesh) -> Option<()> {
    let proxies: serde_json::Value = serde_json::from_str(&mesh.page("/debug/proxies")?).ok()?;
    let types = proxies.as_array()?.first()?["types"].as_array()?;
    let asked: Vec<_> = types.iter().filter_map(|t| t["type"].as_str()).collect();
    ["cds", "eds", "lds", "rds"].iter().all(|kind| asked.contains(kind)).then_some(())
}

#[test]
fn not_one_request_fails_while_routes_change_endpoints_come_and_go_and_the_control_plane_is_killed() {
    let Some(envoy) = envoy() else { return };
    let mesh = Mesh::new(envoy);
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let ports = [a.port, b.port];
    mesh.service("app", &ports);
    mesh.route("start", "app");
    let mut run = mesh.run();
    until("the gateway answers", || (mark(&mesh)? == "start").then_some(()));

    let load = Load::start(mesh.port);
    let start = Instant::now();
    for n in 1..=EDITS {
        edit(&mesh, n, &ports);
        until("the edit is in effect", || (mark(&mesh)? == n.to_string()).then_some(()));
        if n == EDITS / 2 {
            run.kill();
            run = mesh.run();
            until("the agent comes back", || has_come_back(&mesh));
            run.says(&["took over agent"]);
            assert_eq!(mesh.counter("tombolo_xds_resource_bytes"), 0, "what is held is not sent again");
        }
        thread::sleep((Duration::from_secs(1) * n * SECONDS / EDITS).saturating_sub(start.elapsed()));
    }
    let (sent, failures) = load.end();
    assert!(mesh.counter("tombolo_xds_resource_bytes") > 0, "the counter counts");
    assert!(failures.is_empty(), "{} of {sent} requests failed: {:?}", failures.len(), failures.first());
    assert!(sent >= (REQUESTS_PER_SECOND * SECONDS) as usize * 9 / 10, "only {sent} requests were sent");
}
