//! What the tests of this crate share: a server on loopback, a small client, real resources, a real Envoy.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod client;
pub(crate) mod envoy;
pub(crate) mod resources;

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tombolo_core::InstanceId;
use tombolo_proto::{Change, Resource, ResourceType, Scope, envoy::envoy::config::core::v3::Node};
use tombolo_xds::{
    AdsService, Body, Class, Classify, Classifying, Config, Front, Hub, Peer, Plaintext, Refusal, serve_behind,
};

/// Longer than anything here takes, shorter than anyone's patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Everyone sees everything, but for a node called `refused`.
pub(crate) struct Everyone;

impl Classify for Everyone {
    fn classify<'a>(&'a self, node: &'a Node, _: Option<&'a Peer>) -> Classifying<'a> {
        Box::pin(async move {
            if node.id == "refused" {
                return Err(Refusal::Denied("this node is refused".into()));
            }
            Ok(Class { scopes: Arc::new([Scope::public()]), proxy: node.id.as_str().into() })
        })
    }
}

/// Believes who callers say that they are, in two headers.
#[derive(Clone)]
pub(crate) struct Asking;

impl Front for Asking {
    type Io = TcpStream;
    type Service = Believing;
    type Body = Body<Incoming>;

    async fn admit(self, io: TcpStream, ads: AdsService) -> Option<(TcpStream, Believing)> {
        Some((io, Believing(ads)))
    }
}

/// What is behind [`Asking`].
pub(crate) struct Believing(AdsService);

impl Service<Request<Incoming>> for Believing {
    type Response = Response<Body<Incoming>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let said = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let id = format!("spiffe://cluster.local/ns/{}/sa/default", said("namespace")).parse().unwrap();
        let instance = Some(InstanceId::parse(&said("instance")).unwrap());
        request.extensions_mut().insert(Peer { id, instance });
        ready(Ok(self.0.respond(request)))
    }
}

/// A served hub.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// On a free port, open.
    pub(crate) async fn start(config: Config) -> Self {
        let server = Self::closed(config, 0).await;
        server.hub.open();
        server
    }

    /// One that knows who calls.
    pub(crate) async fn asking(config: Config) -> Self {
        let server = Self::behind(Asking, config, 0).await;
        server.hub.open();
        server
    }

    /// On this port, and not open yet.
    pub(crate) async fn closed(config: Config, port: u16) -> Self {
        Self::behind(Plaintext, config, port).await
    }

    async fn behind(front: impl Front, config: Config, port: u16) -> Self {
        let listener = eventually_ok(|| TcpListener::bind(("127.0.0.1", port))).await;
        let (hub, address, stop) =
            (Hub::new(config, Everyone), listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(serve_behind(front, listener, hub.clone(), stop.clone().cancelled_owned()));
        Self { hub, address, stop, task }
    }

    /// Publishes resources that everyone sees.
    pub(crate) fn publish(&self, resources: impl IntoIterator<Item = Resource>) {
        publish(&self.hub, resources);
    }

    pub(crate) fn remove(&self, kind: ResourceType, name: &str) {
        self.hub.publish(vec![Change { scope: Scope::public(), kind, name: name.into(), resource: None }]);
    }

    /// Bytes of resources of all types sent so far.
    pub(crate) fn resource_bytes(&self) -> u64 {
        ResourceType::ALL.iter().map(|kind| self.hub.metrics().resource_bytes(*kind)).sum()
    }

    /// Stops in good order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within(self.task).await.unwrap();
    }
}

pub(crate) fn publish(hub: &Hub, resources: impl IntoIterator<Item = Resource>) {
    let change = |resource: Resource| Change {
        scope: Scope::public(),
        kind: resource.kind(),
        name: resource.name().clone(),
        resource: Some(Arc::new(resource)),
    };
    hub.publish(resources.into_iter().map(change).collect());
}

/// Waits for something that must happen.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it does not happen")
}

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "it never holds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a condition on a hub holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || ready(condition())).await;
}

async fn eventually_ok<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(mut attempt: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(start.elapsed() < DEADLINE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
