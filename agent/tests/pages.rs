//! The pages, without a real Envoy: what is whole, what is not, and who is turned away.
#![allow(clippy::unwrap_used, clippy::panic)]

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tombolo_agent::{
    admin::{Admin, serve},
    envoy::{Client, DrainSettings, Keeper, Log, Paths, Settings},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// An agent's pages.
struct Agent {
    directory: TempDir,
    address: SocketAddr,
    reasons: watch::Sender<Vec<String>>,
    quit: CancellationToken,
}

impl Agent {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reasons, reason) = watch::channel(vec![]);
        let (quit, mut registry) = (CancellationToken::new(), Registry::default());
        registry.register("tombolo_agent_tests", "Tests", Counter::<u64>::default());
        let paths = Paths::new(directory.path()).unwrap();
        let client = Client::at(paths.admin());
        let (_, control) = Keeper::new(settings(paths));
        let debug: (_, Box<dyn Fn() -> Value + Send + Sync>) = ("config", Box::new(|| json!({"name": "vm-1"})));
        let admin = Admin { reasons: reason, registry, envoy: client, control, debug: vec![debug], quit: quit.clone() };
        tokio::spawn(serve(listener, admin));
        Self { directory, address, reasons, quit }
    }

    /// What comes back for a request, to the end of the connection.
    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{request}\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Not every answer ends as it should.
        _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Has an Envoy answer every request with these bytes.
    fn envoy(&self, answer: &'static str) {
        let listener = UnixListener::bind(self.directory.path().join("envoy-admin.sock")).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                _ = stream.read(&mut request).await;
                _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

fn settings(paths: Paths) -> Settings {
    Settings {
        program: Path::new("/bin/false").to_owned(),
        log: Log::File(paths.log()),
        paths,
        bootstrap: json!({}),
        drain: DrainSettings::default(),
        log_level: "warning".into(),
        concurrency: None,
    }
}

#[tokio::test]
async fn readiness_is_200_or_503_with_the_reasons() {
    let agent = Agent::new().await;
    assert!(agent.send("GET /healthz/ready HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
    agent.reasons.send_replace(vec!["no certificate".into(), "no Envoy".into()]);
    let answer = agent.send("GET /healthz/ready HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nno certificate\nno Envoy\n"), "{answer}");
    let debug = agent.send("GET /debug HTTP/1.1").await;
    let body: Value = serde_json::from_str(debug.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["notReady"], json!(["no certificate", "no Envoy"]));
    assert_eq!((&body["config"]["name"], &body["envoy"]["phase"]), (&json!("vm-1"), &json!("starting")));
}

#[tokio::test]
async fn without_envoy_there_are_the_agents_own_metrics() {
    let agent = Agent::new().await;
    let answer = agent.send("GET /metrics HTTP/1.1").await;
    assert!(answer.contains("\ntombolo_agent_tests_total 0\n"), "{answer}");
    assert!(answer.ends_with("\ntombolo_agent_envoy_answers 0\n"), "{answer}");
}

#[tokio::test]
async fn envoys_metrics_come_after_them_and_a_list_that_breaks_off_is_not_whole() {
    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n# TYPE a gauge\na 1\nb{} 2";
    const TORN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\na 1\n";
    for (envoys, end, whole) in [(WHOLE, "b{} 2\n", true), (TORN, "a 1\n", false)] {
        let agent = Agent::new().await;
        agent.envoy(envoys);
        let answer = agent.send("GET /metrics HTTP/1.1").await;
        assert!(answer.contains("\ntombolo_agent_envoy_answers 1\n") && answer.contains(end), "{answer}");
        // The last chunk is the empty one.
        assert_eq!(answer.ends_with("\r\n0\r\n\r\n"), whole, "{answer}");
    }
}

#[tokio::test]
async fn browsers_are_turned_away_from_what_changes_or_tells_too_much() {
    let agent = Agent::new().await;
    for page in ["GET /debug", "POST /drain", "POST /quitquitquit"] {
        let answer = agent.send(&format!("{page} HTTP/1.1\r\norigin: http://elsewhere.example")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{page}: {answer}");
    }
    assert!(!agent.quit.is_cancelled());
    assert!(agent.send("GET /quitquitquit HTTP/1.1").await.starts_with("HTTP/1.1 405 "));
    assert!(!agent.quit.is_cancelled());
    assert!(agent.send("POST /quitquitquit HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
    assert!(agent.quit.is_cancelled());
}

#[tokio::test]
async fn garbage_costs_its_connection_only() {
    let agent = Agent::new().await;
    for garbage in ["\0\0\0\0", "GET", "GET /metrics HTTP/9.9", "PRI * HTTP/2.0"] {
        agent.send(garbage).await;
    }
    let long = format!("GET /{} HTTP/1.1", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    _ = stream.write_all(long.as_bytes()).await; // it may be cut off before its end
    assert!(agent.send("GET /healthz/live HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
}
