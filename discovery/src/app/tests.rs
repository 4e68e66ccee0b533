//! The whole program, but for its client: an API server that answers when it is told to.

use super::serve_until;
use crate::args::Args;
use clap::Parser;
use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    process,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const LEASES: &str = "/leases";
const ROUTES: &str = "/httproutes";

/// An API server that has no objects. What is asked under `silent` is not answered for now.
#[derive(Clone)]
struct Api {
    silent: watch::Sender<&'static str>,
    asked: Arc<Mutex<Vec<(Method, String)>>>,
}

impl Api {
    fn new(silent: &'static str) -> Self {
        Self { silent: watch::Sender::new(silent), asked: Arc::default() }
    }

    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default());
                api.asked.lock().unwrap().push((request.method().clone(), path.clone()));
                _ = api.silent.subscribe().wait_for(|silent| !path.contains(silent)).await;
                let (code, body) = match *request.method() {
                    Method::GET if query.contains("sendInitialEvents") => refuse(422),
                    Method::GET if query.contains("watch=") => std::future::pending().await,
                    Method::GET => found(&path),
                    _ => refuse(403),
                };
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn asked(&self, such: impl Fn(&Method, &str) -> bool) -> bool {
        self.asked.lock().unwrap().iter().any(|(method, path)| such(method, path))
    }
}

fn found(path: &str) -> (StatusCode, Value) {
    let resource =
        json!({"name": "httproutes", "singularName": "", "namespaced": true, "kind": "HTTPRoute", "verbs": []});
    let body = match path {
        "/apis/gateway.networking.k8s.io/v1" => json!({"groupVersion": "", "resources": [resource]}),
        _ if path.contains("/leases/") || path.ends_with("/v1beta1") || path.ends_with("/v1alpha1") => {
            return refuse(404);
        }
        _ => json!({"metadata": {"resourceVersion": "1"}, "items": []}),
    };
    (StatusCode::OK, body)
}

fn refuse(code: u16) -> (StatusCode, Value) {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": "No"});
    (StatusCode::from_u16(code).unwrap(), body)
}

/// A running replica, at an address of its own.
struct Replica {
    address: Ipv4Addr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    /// `test` is different for each: replicas run at once.
    fn start(test: u8, api: &Api, port: &str) -> Self {
        let [.., high, low] = process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 80 + test, high, low | 1);
        let flags = [(port, 15012), ("--monitoring", 15014), ("--health", 8080)];
        let flags = flags.map(|(flag, port)| [flag.to_owned(), format!("{address}:{port}")]);
        let args = Args::parse_from(["tombolo-discovery".to_owned()].into_iter().chain(flags.into_iter().flatten()));
        let (stop, told) = oneshot::channel();
        let told = async { _ = told.await };
        let task = tokio::spawn(serve_until(told, args, api.client()));
        Self { address, stop, task }
    }

    /// Status and body.
    async fn page(&self, port: u16, path: &str) -> std::io::Result<(String, String)> {
        let mut stream = TcpStream::connect(SocketAddr::from((self.address, port))).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok((head.split(' ').nth(1).unwrap().to_owned(), body.to_owned()))
    }

    /// Waits until readiness says this.
    async fn says(&self, code: &str, body: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let said = self.page(8080, "/ready").await;
            if said.as_ref().is_ok_and(|said| (&*said.0, said.1.trim_end()) == (code, body)) {
                return;
            }
            assert!(!self.task.is_finished() && Instant::now() < deadline, "not {body}: {said:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(30), self.task).await.expect("it stops").unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_it_says_what_it_waits_for_and_can_be_stopped() {
    let api = Api::new("/");
    let replica = Replica::start(0, &api, "--listen");
    replica
        .says("503", "not everything is read yet: Kubernetes, load balancers, nodes, Gateway API's channel, settings")
        .await;
    assert_eq!(replica.page(15014, "/metrics").await.unwrap().0, "200");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_readiness_has_no_other_page() {
    let api = Api::new("nothing");
    let replica = Replica::start(1, &api, "--plaintext");
    replica.says("200", "ready").await;
    for page in ["/", "/metrics", "/debug/snapshot", "/debug/config", "/debug/proxies", "/ca/rotate"] {
        assert_eq!(replica.page(8080, page).await.unwrap().0, "404", "{page}");
        assert_ne!(replica.page(15014, page).await.unwrap().0, "404", "{page}");
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_read_everything_does_not_stand_for_the_lease() {
    let api = Api::new(ROUTES);
    let replica = Replica::start(2, &api, "--listen");
    replica.says("503", "not everything is read yet: Kubernetes").await;
    let of_the_lease = |_: &Method, path: &str| path.contains(LEASES);
    assert!(!api.asked(of_the_lease));
    api.silent.send_replace("nothing");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !api.asked(of_the_lease) {
        assert!(Instant::now() < deadline, "{:?}", api.asked);
        sleep(Duration::from_millis(5)).await;
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_serves_in_plaintext_writes_nothing() {
    let api = Api::new("nothing");
    let replica = Replica::start(3, &api, "--plaintext");
    replica.says("200", "ready").await;
    replica.stop().await;
    assert!(!api.asked(|method, path| method != Method::GET || path.contains(LEASES)), "{:?}", api.asked);
}
