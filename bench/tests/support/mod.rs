//! A tiny delta ADS server on the `h2` crate, with `envoy-types`' own messages: what the generator sends and reads is held against
//! it, not against the generator's own idea of the protocol.

mod resources;

pub(crate) use resources::Resources;

use bytes::Bytes;
use h2::{RecvStream, SendStream, server};
use http::Response;
use prost::Message;
use std::{
    collections::{BTreeSet, HashMap},
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
};
use tombolo_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers.
    Serve,
    /// Never answers.
    Silent,
    /// Ends each stream with an error.
    Refuse,
}

/// The server, on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    resources: watch::Sender<Resources>,
    /// Every node id that was seen.
    pub(crate) nodes: Arc<Mutex<BTreeSet<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(manner: Manner, resources: Resources) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (resources, current) = watch::channel(resources);
        let (stop, stopped) = oneshot::channel();
        let nodes = Arc::<Mutex<BTreeSet<String>>>::default();
        let seen = nodes.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, manner, current, seen) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, resources, nodes, stop: Some(stop), thread: Some(thread) }
    }

    /// Replaces the resources: what differs is pushed to those who asked for it.
    pub(crate) fn publish(&self, resources: Resources) {
        self.resources.send_replace(resources);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn accept(
    listener: TcpListener,
    manner: Manner,
    resources: watch::Receiver<Resources>,
    nodes: Arc<Mutex<BTreeSet<String>>>,
) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(socket, manner, resources.clone(), nodes.clone()));
    }
}

async fn connection(
    socket: TcpStream,
    manner: Manner,
    resources: watch::Receiver<Resources>,
    nodes: Arc<Mutex<BTreeSet<String>>>,
) {
    let mut connection = server::handshake(socket).await.unwrap();
    let Some(Ok((request, mut respond))) = connection.accept().await else { return };
    assert!(request.uri().path().ends_with("/DeltaAggregatedResources"));
    let mut replies = respond.send_response(Response::new(()), false).unwrap();
    if manner == Manner::Refuse {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", 7.into());
        trailers.insert("grpc-message", "not you".parse().unwrap());
        replies.send_trailers(trailers).unwrap();
        while connection.accept().await.is_some() {}
        return;
    }
    let stream = Stream { replies, resources, asked: HashMap::new(), sent: HashMap::new(), nonce: 0 };
    tokio::select! {
        _ = connection.accept() => {}
        () = stream.serve(request.into_body(), manner, nodes) => {}
    }
}

struct Stream {
    replies: SendStream<Bytes>,
    resources: watch::Receiver<Resources>,
    /// By type: the names, or all where there are none.
    asked: HashMap<String, BTreeSet<String>>,
    /// By type and name: the version.
    sent: HashMap<(String, String), String>,
    nonce: u32,
}

impl Stream {
    async fn serve(mut self, mut body: RecvStream, manner: Manner, nodes: Arc<Mutex<BTreeSet<String>>>) {
        let mut pending = Vec::new();
        loop {
            tokio::select! {
                piece = body.data() => {
                    let Some(Ok(piece)) = piece else { return };
                    body.flow_control().release_capacity(piece.len()).unwrap();
                    pending.extend_from_slice(&piece);
                    while let Some(request) = take(&mut pending) {
                        nodes.lock().unwrap().extend(request.node.iter().map(|node| node.id.clone()));
                        if manner == Manner::Serve {
                            self.request(request).await;
                        }
                    }
                }
                changed = self.resources.changed() => {
                    if changed.is_err() { return }
                    for url in self.asked.keys().cloned().collect::<Vec<_>>() {
                        self.push(&url, false).await;
                    }
                }
            }
        }
    }

    async fn request(&mut self, request: DeltaDiscoveryRequest) {
        assert!(request.error_detail.is_none(), "a resource was rejected");
        let url = request.type_url;
        if !request.response_nonce.is_empty() {
            assert!(request.response_nonce.parse::<u32>().unwrap() <= self.nonce);
            return;
        }
        let first = request.initial_resource_versions.is_empty();
        for (name, version) in request.initial_resource_versions {
            self.sent.insert((url.clone(), name), version);
        }
        let asked = self.asked.entry(url.clone()).or_default();
        asked.extend(request.resource_names_subscribe);
        request.resource_names_unsubscribe.iter().for_each(|name| assert!(asked.remove(name)));
        self.push(&url, first).await;
    }

    /// Sends what the client does not hold yet; a type's first answer even if that is nothing.
    async fn push(&mut self, url: &str, always: bool) {
        let mut resources = self.resources.borrow().list(url);
        let asked = &self.asked[url];
        resources.retain(|r| {
            let version = self.sent.get(&(url.to_owned(), r.name.clone()));
            (asked.is_empty() || asked.contains(&r.name)) && version != Some(&r.version)
        });
        if resources.is_empty() && !always {
            return;
        }
        for resource in &resources {
            self.sent.insert((url.to_owned(), resource.name.clone()), resource.version.clone());
        }
        self.nonce += 1;
        let nonce = self.nonce.to_string();
        let response = DeltaDiscoveryResponse { resources, type_url: url.to_owned(), nonce, ..Default::default() };
        self.send(response.encode_to_vec()).await;
    }

    async fn send(&mut self, body: Vec<u8>) {
        let mut bytes: Bytes = [&[0], &u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat().into();
        while !bytes.is_empty() {
            self.replies.reserve_capacity(bytes.len());
            let Some(Ok(granted)) = poll_fn(|cx| self.replies.poll_capacity(cx)).await else { return };
            self.replies.send_data(bytes.split_to(granted), false).unwrap();
        }
    }
}

/// Takes a whole message off the front.
fn take(pending: &mut Vec<u8>) -> Option<DeltaDiscoveryRequest> {
    let len = u32::from_be_bytes(pending.get(1..5)?.try_into().unwrap()) as usize;
    let request = DeltaDiscoveryRequest::decode(pending.get(5..5 + len)?).unwrap();
    pending.drain(..5 + len);
    Some(request)
}
