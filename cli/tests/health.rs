//! What a workload's agent finds by the probe of its group decides whether it gets requests, with real agents and Envoys.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use support::{Mesh, Run, envoy, get, until};

/// An application that answers everything, and `/healthz` with 503 where it does not feel well.
struct App {
    port: u16,
    well: Arc<AtomicBool>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, well) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(true)));
        let felt = well.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let felt = felt.clone();
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let asked = lines.next().unwrap_or_default();
                    lines.find(String::is_empty);
                    let sick = asked.contains("/healthz") && !felt.load(Ordering::Relaxed);
                    let status = if sick { "503 Service Unavailable" } else { "200 OK" };
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                    _ = stream.write_all(head.as_bytes()); // whoever is gone needs no answer
                });
            }
        });
        Self { port, well }
    }

    fn feel(&self, well: bool) {
        self.well.store(well, Ordering::Relaxed);
    }
}

/// A run that is ended in good order, and its agents and Envoys with it, even where the test fails.
struct Ended(Run);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

const WORKLOAD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{group: networking.istio.io, kind: Hostname, name: web.example, port: 80}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: demo}
spec:
  hosts: [web.example]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: PORT}]
  resolution: STATIC
  workloadSelector: {labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web, namespace: demo}
spec:
  metadata: {annotations: {mesh.tombolo.dev/agent: local}}
  template: {serviceAccount: web, labels: {app: web}}
  probe: {periodSeconds: 1, failureThreshold: 1, httpGet: {path: /healthz, port: PORT}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1, namespace: demo, annotations: {istio.io/autoRegistrationGroup: web}}
spec: {address: ADDRESS}
";

#[test]
fn a_workload_that_does_not_feel_well_gets_no_requests_until_it_does() {
    let Some(envoy) = envoy() else { return };
    let (mesh, app) = (Mesh::new(envoy), App::start());
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{low}.1", 64 | (high & 0x3f)); // nobody else's
    mesh.write("workload.yaml", &WORKLOAD.replace("PORT", &app.port.to_string()).replace("ADDRESS", &address));
    let _run = Ended(mesh.run());
    let status = || get(mesh.port, "/").ok().map(|(status, ..)| status);
    until("it serves", || status().filter(|status| *status == 200));
    app.feel(false);
    until("it gets no requests", || status().filter(|status| *status == 503));
    app.feel(true);
    until("it serves again", || status().filter(|status| *status == 200));
}
