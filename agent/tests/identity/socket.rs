//! The socket of secrets: who may have it, and what is answered on it.

use super::{
    control_plane::{ControlPlane, ID},
    world::{Agent, Machine, within},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    collections::HashMap,
    os::unix::net::UnixListener as StdListener,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tombolo_agent::identity::sds::{SdsError, SdsServer, Verdicts};
use tombolo_proto::envoy::{
    envoy::{
        config::core::v3::Node,
        extensions::transport_sockets::tls::v3::Secret,
        service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    },
    google::rpc::Status as Rejection,
};
use tonic::{Code, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

const DELTA: &str = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// A stream that a client opened.
struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn open(path: &Path, method: &'static str) -> Result<Self, Status> {
        let stream = TokioIo::new(UnixStream::connect(path).await.unwrap());
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let service = tower::service_fn(move |request| sender.clone().send_request(request));
        let origin = http::Uri::from_static("http://sds");
        let mut client = Grpc::with_origin(service, origin);
        let (requests, receiver) = mpsc::channel(16);
        let request = tonic::Request::new(ReceiverStream::new(receiver));
        let path = http::uri::PathAndQuery::from_static(method);
        client.ready().await.unwrap();
        let responses = client.streaming(request, path, ProstCodec::default()).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn ask(&self, names: &[&str]) {
        let resource_names_subscribe = names.iter().map(ToString::to_string).collect();
        self.send(DeltaDiscoveryRequest { resource_names_subscribe, ..DeltaDiscoveryRequest::default() }).await;
    }

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(DeltaDiscoveryRequest { type_url: SECRET.into(), ..request }).await.unwrap();
    }

    async fn response(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        within("a response", self.responses.message()).await.map(|response| response.expect("not the end"))
    }
}

/// An agent with a certificate that serves it.
async fn agent() -> (ControlPlane, Machine, Agent, PathBuf) {
    let (control_plane, machine, agent, path, _) = observed_agent().await;
    (control_plane, machine, agent, path)
}

/// Likewise, and what is said of that.
async fn observed_agent() -> (ControlPlane, Machine, Agent, PathBuf, Verdicts) {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let path = agent.state.socket("sds.sock").unwrap();
    let server = SdsServer::bind(&path).await.unwrap();
    let (current, verdicts) = (agent.current.clone(), server.verdicts());
    tokio::spawn(server.serve(current));
    agent.ready().await;
    (control_plane, machine, agent, path, verdicts)
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}

#[tokio::test]
async fn both_secrets_are_served_and_a_rejection_changes_nothing() {
    let (_control_plane, _machine, agent, path) = agent().await;
    let mut client = Client::open(&path, DELTA).await.unwrap();
    client.ask(&["default", "ROOTCA", "somebody-else's"]).await;
    let response = client.response().await.unwrap();
    assert_eq!(names(&response), ["default", "ROOTCA"]);
    let bytes = &response.resources[0].resource.as_ref().unwrap().value;
    let secret: Secret = prost::Message::decode(&**bytes).unwrap();
    assert_eq!(secret.name, "default");
    assert!(bytes.windows(ID.len()).all(|window| window != ID.as_bytes()), "certificates are in PEM");

    let error_detail = Some(Rejection { message: "not liked".into(), ..Rejection::default() });
    client.send(DeltaDiscoveryRequest { response_nonce: response.nonce, error_detail, ..Default::default() }).await;
    agent.handle.renew_now();
    let next = client.response().await.unwrap();
    assert_eq!(names(&next), ["default"], "the roots are the same");

    let initial_resource_versions: HashMap<_, _> =
        next.resources.iter().map(|resource| (resource.name.clone(), resource.version.clone())).collect();
    let mut again = Client::open(&path, DELTA).await.unwrap();
    let resource_names_subscribe = vec!["default".into(), "ROOTCA".into()];
    again
        .send(DeltaDiscoveryRequest { initial_resource_versions, resource_names_subscribe, ..Default::default() })
        .await;
    assert_eq!(names(&again.response().await.unwrap()), ["ROOTCA"], "what it has is not sent again");
}

#[tokio::test]
async fn what_envoy_rejects_is_counted_and_told_until_it_takes_the_newest() {
    let (_control_plane, _machine, agent, path, verdicts) = observed_agent().await;
    let mut told = verdicts.watch();
    let mut client = Client::open(&path, DELTA).await.unwrap();
    client.ask(&["default", "ROOTCA"]).await;
    let answer = |response: &DeltaDiscoveryResponse, error: Option<&str>| DeltaDiscoveryRequest {
        response_nonce: response.nonce.clone(),
        error_detail: error.map(|message| Rejection { message: message.into(), ..Rejection::default() }),
        ..Default::default()
    };
    let first = client.response().await.unwrap();
    client.send(answer(&first, None)).await;
    agent.handle.renew_now();
    let next = client.response().await.unwrap();
    client.send(answer(&next, Some("the key is weak"))).await;
    within("word of the rejection", told.changed()).await.unwrap();
    let reasons = verdicts.reasons();
    assert_eq!(reasons, ["Envoy rejects the newest certificate, and goes on with what it had: the key is weak"]);
    assert_eq!(verdicts.rejections(), 1);
    agent.handle.renew_now();
    let next = client.response().await.unwrap();
    client.send(answer(&next, None)).await;
    within("word of the acceptance", told.changed()).await.unwrap();
    assert_eq!((verdicts.reasons(), verdicts.rejections()), (Vec::new(), 1));
}

#[tokio::test]
async fn what_is_too_much_or_of_another_kind_ends_the_stream() {
    let (_control_plane, _machine, _agent, path) = agent().await;
    let ended = async |request: DeltaDiscoveryRequest| {
        let mut client = Client::open(&path, DELTA).await.unwrap();
        client.requests.send(request).await.unwrap();
        client.response().await.unwrap_err().code()
    };
    let node = Node { id: "x".repeat(300 * 1024), ..Node::default() };
    let oversized = DeltaDiscoveryRequest { node: Some(node), type_url: SECRET.into(), ..Default::default() };
    assert_eq!(ended(oversized).await, Code::OutOfRange);
    let many = DeltaDiscoveryRequest {
        resource_names_subscribe: (0..100).map(|name| name.to_string()).collect(),
        type_url: SECRET.into(),
        ..Default::default()
    };
    assert_eq!(ended(many).await, Code::ResourceExhausted);
    assert_eq!(ended(DeltaDiscoveryRequest::default()).await, Code::InvalidArgument);
    let other = Client::open(&path, tombolo_proto::agent::DELTA_ADS).await;
    assert_eq!(other.err().unwrap().code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_socket_that_is_left_over_is_replaced_and_one_that_is_in_use_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sds.sock");
    drop(StdListener::bind(&path).unwrap());
    let server = SdsServer::bind(&path).await.unwrap();
    let error = SdsServer::bind(&path).await.unwrap_err();
    assert!(matches!(error, SdsError::Taken(_)) && error.to_string().contains("stop the other agent"), "{error}");
    drop(server);
    SdsServer::bind(&path).await.unwrap();

    let file = directory.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let error = SdsServer::bind(&file).await.unwrap_err();
    assert!(matches!(error, SdsError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
