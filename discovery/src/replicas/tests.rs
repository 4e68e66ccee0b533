//! Who is asked, and when: by pods of an API server, one of which has pages here.

use super::{Asking, Replicas};
use crate::metrics::WatchMetrics;
use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tombolo_controlplane::{ControlPlane, Setup, SystemClock};

const PATIENCE: Duration = Duration::from_secs(30);

fn pod(name: &str, revision: &str, phase: &str, address: Option<&str>) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "mesh", "labels": {"istio.io/rev": revision}},
        "status": {"phase": phase, "podIP": address},
    })
}

/// An API server with these replicas.
fn api_server(pods: Vec<Value>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": pods});
        async move {
            assert_eq!(path, "/api/v1/namespaces/mesh/pods");
            assert!(query.contains("labelSelector=app.kubernetes.io%2Fname%3Dtombolo-discovery"), "{query}");
            if query.contains("sendInitialEvents") {
                let refused = json!({"kind": "Status", "status": "Failure", "code": 422, "message": "no streams"});
                let body = Body::from(refused.to_string().into_bytes());
                return Ok::<_, Infallible>(Response::builder().status(422).body(body).unwrap());
            }
            if query.contains("watch=") {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
        }
    });
    Client::new(service, "default")
}

async fn replicas(pods: Vec<Value>, port: u16) -> Replicas {
    let replicas = Replicas::start(api_server(pods), "mesh", "own", port, &WatchMetrics::default());
    timeout(PATIENCE, replicas.read()).await.unwrap();
    replicas
}

#[tokio::test]
async fn the_others_are_those_that_run_of_whatever_revision() {
    let pods = vec![
        pod("own", "default", "Running", Some("10.0.0.1")),
        pod("a", "default", "Running", Some("10.0.0.2")),
        pod("b", "canary", "Running", Some("fd00::3")),
        pod("c", "canary", "Pending", None),
        pod("d", "canary", "Failed", Some("10.0.0.5")),
    ];
    let replicas = replicas(pods, 15014).await;
    let others: Vec<_> = replicas.others().into_iter().map(|(name, at)| format!("{name} {at}")).collect();
    assert_eq!(others, ["a 10.0.0.2:15014", "b [fd00::3]:15014"]);
}

#[tokio::test]
async fn whose_replica_leads_is_known_by_its_pod() {
    let pods = vec![pod("a", "default", "Running", None), pod("b", "canary", "Running", None)];
    let replicas = replicas(pods, 15014).await;
    let (leads, holder) = watch::channel(None::<Arc<str>>);
    let mut led = replicas.led_by_another("default", holder);
    for (leader, by_another) in [("b", true), ("a", false), ("b", true), ("nobody knows", false)] {
        leads.send_replace(Some(leader.into()));
        timeout(PATIENCE, led.wait_for(|led| *led == by_another)).await.unwrap().unwrap();
    }
}

/// Pages at which nothing is rejected; who asks for which.
async fn pages(address: &str) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, questions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = vec![0; 4096];
            let count = stream.read(&mut question).await.unwrap_or_default();
            _ = asked.send(String::from_utf8_lossy(&question[..count]).lines().next().unwrap_or_default().to_owned());
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"rejected\":[]}";
            _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, questions)
}

#[tokio::test]
async fn whoever_writes_asks_and_nobody_else_does() {
    const OTHER: &str = "127.0.0.77";
    let (port, mut questions) = pages(OTHER).await;
    let pods = vec![pod("own", "default", "Running", Some("127.0.0.1")), pod("a", "default", "Running", Some(OTHER))];
    let replicas = replicas(pods, port).await;
    let (xds, clock) = (tombolo_xds::Config::default(), Arc::new(SystemClock));
    let setup = Setup { sources: Vec::new(), facts: Vec::new(), store: None, xds, clock };
    let plane = ControlPlane::start(setup).unwrap();
    let asking = Asking::new(plane.clone(), replicas);
    let mut heard = asking.heard();
    let (lease, writer) = watch::channel(false);
    let running = tokio::spawn(asking.run(writer));
    for _ in 0..2 {
        assert!(!*heard.borrow() && questions.try_recv().is_err(), "it does not write");
        lease.send_replace(true);
        timeout(PATIENCE, heard.wait_for(|heard| *heard)).await.unwrap().unwrap();
        assert_eq!(questions.try_recv().unwrap(), "POST /debug/rejections HTTP/1.1");
        lease.send_replace(false);
        timeout(PATIENCE, heard.wait_for(|heard| !*heard)).await.unwrap().unwrap();
        // Whoever was held up has asked again meanwhile. One is served after the other, so nothing is behind this.
        TcpStream::connect((OTHER, port)).await.unwrap().write_all(b"the end\n").await.unwrap();
        let drained = async { while questions.recv().await.unwrap() != "the end" {} };
        timeout(PATIENCE, drained).await.unwrap();
    }
    plane.stop();
    drop(lease);
    timeout(PATIENCE, running).await.unwrap().unwrap();
}
