//! A real Envoy that gets its config from the agent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test's helpers fail as tests do

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use support::{
    agent::Agent,
    backend::{backend, free_port, get},
    envoy::{self, Envoy},
    eventually,
    plane::Plane,
    resources::{cluster, endpoints, listener, routes},
    within,
};
use tombolo_proto::ResourceType;

/// A listener on a port, its routes, and a cluster with one endpoint.
fn publish_basics(plane: &Plane, port: u16, backend: u16) {
    plane.publish([cluster("a", 1), endpoints("a", backend), listener("web", port), routes("web", "a")]);
}

async fn says(port: u16, what: &str, agent: &Agent) {
    let answers = || async { get(port).await == Some((200, what.to_owned())) };
    eventually(&format!("{what:?} answers"), answers, || agent.dump()).await;
}

/// Everything that was sent is answered and kept.
async fn is_settled(agent: &Agent, kept: usize) {
    agent
        .until("all is accepted", |status| {
            status.current && status.cached_resources == kept && status.types.iter().all(|t| t.unanswered == 0)
        })
        .await;
}

#[tokio::test]
async fn envoy_and_agent_start_while_the_control_plane_is_away() {
    let Some(binary) = envoy::binary() else { return };
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let (port, one, two) = (free_port(), backend("one").await, backend("two").await);
    publish_basics(&plane, port, one);
    let agent = Agent::start(dir.path(), &plane);
    let first = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    is_settled(&agent, 4).await;
    let nodes: Vec<_> = plane.requests().into_iter().filter_map(|request| request.node).collect();
    assert_eq!(nodes.len(), 1, "the node goes with the first request");
    assert!(nodes[0].windows(9).any(|window| window == b"edge.shop"), "it is the agent's word");

    plane.go_away();
    agent.until("it is away", |status| !status.connected).await;
    says(port, "one", &agent).await;
    drop(first);
    let second = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    drop(second);
    agent.kill().await;

    let agent = Agent::start(dir.path(), &plane);
    let envoy = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    let before = plane.sent();
    plane.come_back();
    is_settled(&agent, 4).await;
    assert_eq!(plane.sent(), before, "nothing changed, nothing is sent");
    plane.publish([endpoints("a", two)]);
    says(port, "two", &agent).await;
    assert_eq!(plane.sent().0, before.0 + 1);
    assert_eq!(envoy.clusters("dynamic_warming_clusters").await, [""; 0]);
}

#[tokio::test]
async fn an_envoy_that_outlives_its_agent_is_sent_nothing_again() {
    let Some(binary) = envoy::binary() else { return };
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let (port, one) = (free_port(), backend("one").await);
    publish_basics(&plane, port, one);
    let agent = Agent::start(dir.path(), &plane);
    let envoy = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    is_settled(&agent, 4).await;
    let before = plane.sent();
    agent.kill().await;

    let agent = Agent::start(dir.path(), &plane);
    agent.until("Envoy is back", |status| status.types.len() == 4).await;
    is_settled(&agent, 4).await;
    assert_eq!(plane.sent(), before);

    // What was kept is lost: it is filled again, and Envoy serves on.
    agent.kill().await;
    std::fs::write(dir.path().join("state/config.log"), "garbage").unwrap();
    let agent = Agent::start(dir.path(), &plane);
    is_settled(&agent, 4).await;
    says(port, "one", &agent).await;
    plane.publish([cluster("a", 2)]);
    eventually(
        "the cluster changes",
        || async {
            envoy.get("/config_dump?resource=dynamic_active_clusters").await.unwrap_or_default().contains("\"2s\"")
        },
        || agent.dump(),
    )
    .await;
    says(port, "one", &agent).await;
}

#[tokio::test]
async fn what_changes_while_envoy_is_away_reaches_the_next_one() {
    let Some(binary) = envoy::binary() else { return };
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let (port, one, two) = (free_port(), backend("one").await, backend("two").await);
    publish_basics(&plane, port, one);
    let agent = Agent::start(dir.path(), &plane);
    let first = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    is_settled(&agent, 4).await;
    drop(first);
    agent.until("Envoy is away", |status| !status.envoy).await;
    let before = plane.sent().0;
    plane.publish([cluster("a", 2), endpoints("a", two), cluster("b", 1), endpoints("b", one)]);
    agent.until("it waits for Envoy", |status| status.types.iter().map(|t| t.pending).sum::<usize>() == 3).await;
    let envoy = Envoy::start(&binary, &agent.socket).await;
    says(port, "two", &agent).await;
    plane.publish([routes("web", "b")]);
    says(port, "one", &agent).await;
    is_settled(&agent, 6).await;
    assert_eq!(plane.sent().0 - before, 5);
    assert_eq!(plane.opened(), 1);
    assert_eq!(envoy.clusters("dynamic_warming_clusters").await, [""; 0]);
}

#[tokio::test]
async fn what_envoy_rejects_is_passed_up_in_its_words() {
    let Some(binary) = envoy::binary() else { return };
    let (dir, plane) = (tempfile::tempdir().unwrap(), Plane::new());
    let (port, one) = (free_port(), backend("one").await);
    publish_basics(&plane, port, one);
    let agent = Agent::start(dir.path(), &plane);
    let _envoy = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    is_settled(&agent, 4).await;
    plane.publish([cluster("wrong", -1)]);
    let rejected = || plane.requests().into_iter().find_map(|request| request.error_detail);
    eventually("it is rejected", || std::future::ready(rejected().is_some()), || agent.dump()).await;
    let detail = String::from_utf8_lossy(&rejected().unwrap()).into_owned();
    assert!(detail.contains("positive duration"), "{detail}");
    agent.until("it is shown", |status| status.last_rejection.is_some()).await;
    let status = agent.handle.status();
    let rejection = status.last_rejection.unwrap();
    assert_eq!(rejection.type_url, ResourceType::Cluster.url());
    assert!(detail.contains(&rejection.message), "{} is not in {detail}", rejection.message);
    assert_eq!(status.cached_resources, 4, "it is not kept");
    says(port, "one", &agent).await;
}

#[tokio::test]
async fn a_control_plane_is_changed_for_another_and_envoy_notices_nothing() {
    let Some(binary) = envoy::binary() else { return };
    let (dir, old, new) = (tempfile::tempdir().unwrap(), Plane::new(), Plane::new());
    let (port, one, two) = (free_port(), backend("one").await, backend("two").await);
    for plane in [&old, &new] {
        publish_basics(plane, port, one);
    }
    let agent = Agent::start(dir.path(), &old);
    let envoy = Envoy::start(&binary, &agent.socket).await;
    says(port, "one", &agent).await;
    is_settled(&agent, 4).await;

    let stop = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let stop = stop.clone();
        async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(get(port).await, Some((200, "one".to_owned())));
            }
        }
    });
    let updates = ["cluster_manager.cds.update_attempt", "listener_manager.lds.update_attempt"];
    let before = [envoy.stat(updates[0]).await, envoy.stat(updates[1]).await];
    within("the change", agent.handle.switch_to(Arc::new(new.clone()))).await.unwrap();
    assert_eq!((new.sessions(), new.sent()), (1, (0, 0)));
    eventually("the old one is let go", || std::future::ready(old.sessions() == 0), || agent.dump()).await;
    assert_eq!([envoy.stat(updates[0]).await, envoy.stat(updates[1]).await], before);
    assert_eq!(envoy.stat("control_plane.connected_state").await, 1);
    stop.store(true, Ordering::Relaxed);
    traffic.await.unwrap();

    old.publish([endpoints("a", 1)]);
    new.publish([endpoints("a", two)]);
    says(port, "two", &agent).await;
    assert_eq!(new.sent().0, 1);

    // One that is of no use is not changed to.
    old.go_away();
    within("the refusal", agent.handle.switch_to(Arc::new(old))).await.unwrap_err();
    new.publish([endpoints("a", one)]);
    says(port, "one", &agent).await;
    assert_eq!(new.opened(), 1);
}
