//! The config stream, between a control plane that does as it is told and a client in Envoy's place.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test's helpers fail as tests do

mod support;

use http::HeaderMap;
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
};
use support::{
    agent::Agent,
    eventually,
    plane::Plane,
    resources::{Resource, cluster, endpoints},
    within,
};
use tokio::net::UnixStream;
use tombolo_agent::stream::{Item, Report, Request, Response, Sink, Subscription, Upstream, UpstreamError, over};
use tombolo_proto::{
    ResourceType,
    agent::{HEALTH_REPORT, NAME},
};

/// A client in Envoy's place.
async fn client(socket: &Path) -> Upstream {
    let io = UnixStream::connect(socket).await.unwrap();
    over(io, "agent".parse().unwrap(), HeaderMap::new(), 1 << 20).await.unwrap()
}

async fn next(client: &mut Upstream) -> Result<Response, UpstreamError> {
    within("an answer", client.responses.recv()).await.expect("the stream says why it ends")
}

fn ask(kind: ResourceType, names: &[&str]) -> Request {
    let subscribe = names.iter().map(ToString::to_string).collect();
    Request { type_url: kind.url().to_owned(), subscribe, ..Request::default() }
}

fn answer(response: &Response, error: Option<&str>) -> Request {
    Request {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        // google.rpc.Status: a message.
        error_detail: error.map(|text| [&[0x12, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat().into()),
        ..Request::default()
    }
}

#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Names {
    fn has(&self, names: &[&str]) -> bool {
        self.0.lock().unwrap().keys().eq(names)
    }

    fn subscription(&self) -> Subscription {
        Subscription { type_url: NAME.into(), names: vec!["*".to_owned()], sink: Box::new(self.clone()) }
    }
}

impl Sink for Names {
    fn apply(&mut self, added: Vec<Item>, removed: Vec<String>) -> Result<(), String> {
        if added.iter().any(|item| item.value.is_empty()) {
            return Err("a name without addresses".to_owned());
        }
        let mut names = self.0.lock().unwrap();
        names.extend(added.into_iter().map(|item| (item.name.to_string(), item.value.to_vec())));
        removed.iter().for_each(|name| _ = names.remove(name));
        Ok(())
    }
}

fn name(name: &str, value: &[u8]) -> Resource {
    Resource { kind: NAME, name: name.to_owned(), value: value.to_vec() }
}

#[tokio::test]
async fn what_the_agent_asks_for_itself_outlives_it_and_is_not_for_envoy() {
    let (dir, plane, names) = (tempfile::tempdir().unwrap(), Plane::new(), Names::default());
    plane.publish([name("a", b"1"), name("b", b"1")]);
    let agent = Agent::with(dir.path(), &plane, vec![names.subscription()]);
    agent.until("both are there", |status| status.current && status.cached_resources == 2).await;
    assert!(names.has(&["a", "b"]));
    let mut envoy = client(&agent.socket).await;
    envoy.requests.send(Request { type_url: NAME.to_owned(), ..Request::default() }).await.unwrap();
    envoy.requests.send(ask(ResourceType::Cluster, &[])).await.unwrap();
    assert_eq!(next(&mut envoy).await.unwrap().type_url, ResourceType::Cluster.url());

    // One changed name moves one name.
    let before = plane.sent();
    plane.publish([name("c", b"1")]);
    plane.remove(NAME, "a");
    let changed = || std::future::ready(names.has(&["b", "c"]));
    eventually("the names change", changed, || agent.dump()).await;
    assert_eq!(plane.sent().0, before.0 + 1);

    plane.publish([name("wrong", b"")]);
    agent.until("it is rejected", |status| status.last_rejection.is_some()).await;
    let said = || plane.requests().into_iter().find_map(|request| request.error_detail);
    eventually("the control plane hears of it", || std::future::ready(said().is_some()), || agent.dump()).await;
    assert!(String::from_utf8_lossy(&said().unwrap()).contains("a name without addresses"));
    assert!(names.has(&["b", "c"]));
    plane.remove(NAME, "wrong");

    plane.go_away();
    agent.kill().await;
    let names = Names::default();
    let agent = Agent::with(dir.path(), &plane, vec![names.subscription()]);
    assert!(agent.handle.status().config_age_seconds.is_none());
    agent.until("it is unreachable", |status| status.last_failure.is_some()).await;
    assert!(names.has(&["b", "c"]), "{:?}", names.0);
    let before = plane.sent();
    plane.come_back();
    agent.until("it is back", |status| status.current).await;
    assert_eq!(plane.sent(), before);
    assert_eq!(agent.handle.status().config_age_seconds, Some(0.0));
}

#[tokio::test]
async fn health_is_reported_once_a_stream_and_whenever_it_changes() {
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let agent = Agent::start(dir.path(), &plane);
    let reports = || {
        let reports = plane.requests().into_iter().filter(|request| request.type_url == HEALTH_REPORT);
        reports.map(|request| (request.response_nonce, request.error_detail.is_some())).collect::<Vec<_>>()
    };
    let acknowledged = |sequence| {
        let agent = &agent;
        async move { agent.until("it is acknowledged", |status| status.acknowledged_health == Some(sequence)).await }
    };
    agent.health.send_replace(Some(Report { sequence: 7, healthy: Ok(()) }));
    acknowledged(7).await;
    agent.health.send_replace(Some(Report { sequence: 8, healthy: Err("port 80 refuses".to_owned()) }));
    acknowledged(8).await;
    assert_eq!(reports(), [("7".to_owned(), false), ("8".to_owned(), true)]);
    plane.go_away();
    agent.until("it is away", |status| !status.connected).await;
    agent.health.send_replace(Some(Report { sequence: 9, healthy: Ok(()) }));
    plane.come_back();
    acknowledged(9).await;
    let other = Plane::new();
    within("the change", agent.handle.switch_to(Arc::new(other.clone()))).await.unwrap();
    assert_eq!(reports().last().unwrap(), &("9".to_owned(), false));
    let told = other.requests();
    assert_eq!((told.len(), told[0].response_nonce.as_str(), told[0].node.is_some()), (1, "9", true));
}

#[tokio::test]
async fn answers_are_passed_up_as_they_are_given() {
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    plane.publish([cluster("a", 1)]);
    let agent = Agent::start(dir.path(), &plane);
    let mut envoy = client(&agent.socket).await;
    envoy.requests.send(ask(ResourceType::Cluster, &[])).await.unwrap();
    let first = next(&mut envoy).await.unwrap();
    assert_eq!(first.resources.len(), 1);
    agent.until("nobody answers for Envoy", |status| status.current && status.types[0].unanswered == 1).await;
    let answers =
        || plane.requests().into_iter().filter(|request| !request.response_nonce.is_empty()).collect::<Vec<_>>();
    assert_eq!(answers(), []);
    assert_eq!(agent.handle.status().cached_resources, 0);
    plane.publish([cluster("b", 1)]);
    let second = next(&mut envoy).await.unwrap();
    envoy.requests.send(answer(&first, None)).await.unwrap();
    let rejection = answer(&second, Some("no"));
    envoy.requests.send(rejection.clone()).await.unwrap();
    eventually("both are answered", || std::future::ready(answers().len() == 2), || agent.dump()).await;
    let given: Vec<_> = answers().into_iter().map(|answer| (answer.response_nonce, answer.error_detail)).collect();
    assert_eq!(given, [("n1".to_owned(), None), ("n2".to_owned(), rejection.error_detail)]);
    assert_eq!(agent.handle.status().cached_resources, 1);
}

#[tokio::test]
async fn the_newest_stream_counts_and_the_socket_is_its_owners() {
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    plane.publish([cluster("a", 1), endpoints("a", 1)]);
    std::fs::write(dir.path().join("ads"), "left behind").unwrap();
    let agent = Agent::start(dir.path(), &plane);
    assert_eq!(std::fs::metadata(&agent.socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut old = client(&agent.socket).await;
    old.requests.send(ask(ResourceType::Cluster, &[])).await.unwrap();
    let response = next(&mut old).await.unwrap();
    old.requests.send(answer(&response, None)).await.unwrap();
    agent.until("it is kept", |status| status.cached_resources == 1).await;
    let mut new = client(&agent.socket).await;
    new.requests.send(ask(ResourceType::Cluster, &[])).await.unwrap();
    let again = next(&mut new).await.unwrap();
    assert_eq!(again.resources, response.resources);
    let ended = next(&mut old).await.unwrap_err();
    assert!(matches!(&ended, UpstreamError::Status { code: 10, .. }), "{ended:?}");
    assert_eq!(plane.sent().0, 1, "the other one is served from what is kept");
}

#[tokio::test]
async fn who_asks_for_too_much_or_sends_garbage_is_told_so() {
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let agent = Agent::start(dir.path(), &plane);
    let mut greedy = client(&agent.socket).await;
    let names: Vec<String> = (0..200_001).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    greedy.requests.send(ask(ResourceType::Endpoints, &names)).await.unwrap();
    let ended = next(&mut greedy).await.unwrap_err();
    assert!(matches!(&ended, UpstreamError::Status { code: 8, message } if message.contains("200000")), "{ended:?}");
    assert_eq!(agent.handle.status().types.len(), 0);

    let mut odd = client(&agent.socket).await;
    let url = "x".repeat(65 << 20);
    odd.requests.send(Request { type_url: url, ..Request::default() }).await.unwrap();
    let ended = next(&mut odd).await.unwrap_err();
    assert!(matches!(&ended, UpstreamError::Status { code: 3, message } if message.contains("exceeds")), "{ended:?}");

    // Others are served.
    plane.publish([cluster("a", 1)]);
    let mut envoy = client(&agent.socket).await;
    envoy.requests.send(ask(ResourceType::Cluster, &[])).await.unwrap();
    assert_eq!(next(&mut envoy).await.unwrap().resources.len(), 1);
}
