//! Connections to a control plane.

use super::{
    control_plane::{Behaviour, ControlPlane, NAME},
    world::{Machine, within},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tombolo_agent::{
    identity::{Proof, channel},
    upstream::{Config, ConnectError, Connection, Upstream},
};
use tombolo_proto::agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse, DELTA_ADS, NameInfo};
use tonic::{Code, Request, Response, Status, Streaming, body::Body, server::Grpc, server::StreamingService};
use tonic_prost::ProstCodec;

type Answers = Pin<Box<dyn Stream<Item = Result<NameInfo, Status>> + Send>>;

/// Sends everything back, and no headers before there is something to send, as servers in Go do.
struct Echo;

impl StreamingService<NameInfo> for Echo {
    type Response = NameInfo;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<NameInfo>>) -> Self::Future {
        Box::pin(async move {
            let token = request.metadata().get("authorization").map(|token| token.to_str().unwrap().to_owned());
            let mut requests = request.into_inner();
            let mut first = requests.message().await?.unwrap();
            first.registry = token.unwrap_or_default();
            let answers: Answers = Box::pin(tokio_stream::once(Ok(first)).chain(requests));
            Ok(Response::new(answers))
        })
    }
}

async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let codec = ProstCodec::<NameInfo, NameInfo>::default();
            Ok::<http::Response<Body>, Infallible>(Grpc::new(codec).streaming(Echo, request).await)
        });
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn name(shortname: &str) -> NameInfo {
    NameInfo { shortname: shortname.into(), ..NameInfo::default() }
}

async fn ask(connection: &Connection) -> Result<CertificateResponse, Status> {
    connection.unary(CREATE_CERTIFICATE, CertificateRequest::default()).await
}

#[tokio::test]
async fn a_stream_goes_both_ways_with_a_server_that_waits_for_the_first_request() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "joins").unwrap();
    let (_publisher, current) = channel();
    let upstream = Upstream::plaintext(echo().await, Some(token), current, Arc::new(SystemTime::now)).unwrap();
    let connection = upstream.connect().await.unwrap();
    let (requests, receiver) = mpsc::channel(1);
    let mut responses = connection.stream::<_, NameInfo, NameInfo>(DELTA_ADS, ReceiverStream::new(receiver));
    requests.send(name("one")).await.unwrap();
    let first = within("the first response", responses.message()).await.unwrap().unwrap();
    assert_eq!((first.shortname.as_str(), first.registry.as_str()), ("one", "Bearer joins"));
    requests.send(name("two")).await.unwrap();
    assert_eq!(within("the second", responses.message()).await.unwrap(), Some(name("two")));
    drop(requests);
    assert_eq!(within("the end", responses.message()).await.unwrap(), None);
    assert_eq!(responses.message().await.unwrap(), None, "and it stays ended");
}

/// The server knows another root: the handshake seems to be done, and ends with the first call.
#[tokio::test]
async fn a_machine_whose_certificate_is_of_another_mesh_comes_back_by_its_token() {
    let old = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&old);
    let agent = machine.agent(&old).await;
    agent.ready().await;
    agent.die().await;

    let new = ControlPlane::strict().await;
    std::fs::write(machine.path("root-cert.pem"), new.ca.root()).unwrap();
    let agent = machine.agent(&new).await;
    let mut current = agent.current.clone();
    assert!(current.latest().is_some(), "by its own account it is valid for long");
    let upstream = machine.upstream(new.address.to_string(), current.clone());
    let failed = match upstream.connect().await {
        Ok(connection) => ask(&connection).await.is_err(),
        Err(_) => true,
    };
    assert!(failed && new.seen().is_empty(), "{:?}", new.seen());
    within("word of it", upstream.refused()).await;

    agent.handle.renew_now();
    let renewed = within("a certificate", current.changed()).await;
    assert_eq!(renewed.roots().trim(), new.ca.root().trim());
    new.behave(Behaviour::Refuse(Status::permission_denied("let in, and refused")));
    assert_eq!(ask(&upstream.connect().await.unwrap()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_token_is_read_for_each_call_and_one_that_is_gone_is_no_error() {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    control_plane.behave(Behaviour::Refuse(Status::unauthenticated("nobody")));
    let machine = Machine::new(&control_plane);
    let (_publisher, current) = channel();
    let connection = machine.upstream(control_plane.address.to_string(), current).connect().await.unwrap();
    for token in ["one", "two"] {
        std::fs::write(machine.path("token"), token).unwrap();
        assert_eq!(ask(&connection).await.unwrap_err().code(), Code::Unauthenticated);
    }
    std::fs::remove_file(machine.path("token")).unwrap();
    assert_eq!(ask(&connection).await.unwrap_err().code(), Code::Unauthenticated);
    let tokens: Vec<_> = control_plane.seen().into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(tokens, [Some("Bearer one".into()), Some("Bearer two".into()), None]);
}

#[tokio::test]
async fn a_server_of_another_name_and_a_machine_without_roots_are_told_why() {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    let (_publisher, current) = channel();
    let config = Config {
        address: control_plane.address.to_string(),
        server_name: Some("somebody.else".into()),
        roots: machine.path("root-cert.pem"),
        token: None,
        cluster: None,
    };
    let clock = Arc::new(SystemTime::now);
    let upstream = Upstream::new(config.clone(), current.clone(), clock.clone()).unwrap();
    let error = upstream.connect().await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable(_)) && error.to_string().contains("configure its server name"),
        "{error}"
    );

    for content in [None, Some(""), Some("not PEM"), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----")]
    {
        std::fs::remove_file(&config.roots).ok();
        content.inspect(|content| std::fs::write(&config.roots, content).unwrap());
        let upstream =
            Upstream::new(Config { server_name: Some(NAME.into()), ..config.clone() }, current.clone(), clock.clone());
        let error = upstream.unwrap().connect_with(&Proof::default()).await.unwrap_err();
        assert!(error.to_string().contains("root-cert.pem"), "{content:?}: {error}");
    }
}

#[tokio::test]
async fn addresses_and_names_that_cannot_be_are_refused_with_the_fix() {
    let (_publisher, current) = channel();
    let config = |address: &str, name: Option<&str>| Config {
        address: address.into(),
        server_name: name.map(Into::into),
        roots: "roots".into(),
        token: None,
        cluster: None,
    };
    let new = |config| Upstream::new(config, current.clone(), Arc::new(SystemTime::now));
    for good in ["tombolod.tombolo-system.svc:15012", "10.0.0.1:15012", "[::1]:15012"] {
        new(config(good, None)).unwrap();
    }
    for bad in ["", "tombolod", "tombolod:", ":15012", "tombolod:99999"] {
        let error = new(config(bad, None)).unwrap_err();
        assert!(error.to_string().contains("HOST:PORT"), "{error}");
    }
    let error = new(config("a:1", Some("not a name"))).unwrap_err();
    assert!(error.to_string().contains("not a server name"), "{error}");
    let elsewhere = "192.0.2.1:15010".parse().unwrap();
    let error = Upstream::plaintext(elsewhere, None, current.clone(), Arc::new(SystemTime::now)).unwrap_err();
    assert!(error.to_string().contains("TLS only"), "{error}");
}
