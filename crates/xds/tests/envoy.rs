//! What a real Envoy does with what it is sent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test's helpers fail as tests do
#![allow(unreachable_pub, dead_code)] // what one of the test binaries does not use, the other does

mod support;

use support::{
    Server,
    envoy::{Envoy, Protocol},
    eventually,
    resources::{cluster, cold_cluster, endpoints, garbage_cluster, invalid_cluster, listener, routes},
    until,
};
use tombolo_proto::ResourceType;
use tombolo_xds::Config;

const PROTOCOLS: [Protocol; 2] = [Protocol::Delta, Protocol::World];

/// A listener, its routes, and two clusters with an endpoint each.
fn publish_basics(server: &Server) {
    server.publish([
        cluster("a", 1),
        cluster("b", 1),
        endpoints("a", 1001),
        endpoints("b", 1002),
        listener("web"),
        routes("web", "a"),
    ]);
}

async fn is_routed(envoy: &Envoy, to: &str) {
    eventually(&format!("routed to {to}"), || async { envoy.routed_to("web").await.as_deref() == Some(to) }).await;
}

#[tokio::test]
async fn a_cluster_whose_timeout_alone_changes_takes_effect() {
    for protocol in PROTOCOLS {
        let server = Server::start(Config::default()).await;
        publish_basics(&server);
        let Some(envoy) = Envoy::start(protocol, server.address).await else { return };
        is_routed(&envoy, "a").await;
        server.publish([cluster("a", 7)]);
        eventually("the timeout", || async { envoy.connect_timeout("a").await.as_deref() == Some("7s") }).await;
        envoy.settles_on(&["a", "b"]).await;
        assert!(envoy.has_endpoint("a", 1001).await, "{protocol:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_cluster_that_never_warms_leaves_all_others_updating() {
    for protocol in PROTOCOLS {
        let server = Server::start(Config::default()).await;
        publish_basics(&server);
        let Some(envoy) = Envoy::start(protocol, server.address).await else { return };
        is_routed(&envoy, "a").await;
        server.publish([cold_cluster("cold")]);
        eventually("cold is warming", || async { envoy.clusters("dynamic_warming_clusters").await == ["cold"] }).await;

        server.publish([endpoints("a", 2001)]);
        eventually("endpoints", || async { envoy.has_endpoint("a", 2001).await }).await;
        server.publish([routes("web", "b")]);
        is_routed(&envoy, "b").await;
        server.publish([cluster("b", 9)]);
        eventually("a changed cluster", || async { envoy.connect_timeout("b").await.as_deref() == Some("9s") }).await;
        server.publish([cluster("new", 1), endpoints("new", 1003), routes("web", "new")]);
        is_routed(&envoy, "new").await;
        assert!(envoy.has_endpoint("new", 1003).await, "{protocol:?}: the cluster came before its route");
        server.remove(ResourceType::Cluster, "a");
        eventually("a is gone", || async {
            !envoy.clusters("dynamic_active_clusters").await.contains(&"a".to_owned())
        })
        .await;

        assert_eq!(envoy.clusters("dynamic_warming_clusters").await, ["cold"]);
        server.stop().await;
    }
}

#[tokio::test]
async fn envoy_keeps_the_answer_back_while_a_cluster_is_warming() {
    let server = Server::start(Config::default()).await;
    publish_basics(&server);
    let Some(envoy) = Envoy::start(Protocol::Delta, server.address).await else { return };
    is_routed(&envoy, "a").await;
    let unanswered = || {
        let proxies = server.hub.proxies();
        proxies[0].types.iter().find(|t| t.kind == "cds").unwrap().unanswered.len()
    };
    until("all is answered", || unanswered() == 0).await;
    server.publish([cold_cluster("cold")]);
    eventually("cold is warming", || async { envoy.clusters("dynamic_warming_clusters").await == ["cold"] }).await;
    server.publish([endpoints("a", 2001)]);
    eventually("endpoints go on", || async { envoy.has_endpoint("a", 2001).await }).await;
    assert_eq!(unanswered(), 1, "shown while it hangs");
    server.remove(ResourceType::Cluster, "cold");
    until("all is answered", || unanswered() == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_resource_is_found_and_shown_and_the_rest_is_served() {
    for protocol in PROTOCOLS {
        for bad in [invalid_cluster, garbage_cluster] {
            let server = Server::start(Config::default()).await;
            publish_basics(&server);
            let Some(envoy) = Envoy::start(protocol, server.address).await else { return };
            is_routed(&envoy, "a").await;
            let more = ["c", "d", "e", "f", "g"];
            server.publish(more.iter().flat_map(|name| [cluster(name, 1), endpoints(name, 1003)]).chain([bad("e2")]));
            envoy.settles_on(&["a", "b", "c", "d", "e", "f", "g"]).await;
            until("it is found", || !server.hub.rejections().is_empty()).await;
            let rejections = server.hub.rejections();
            assert_eq!(rejections.len(), 1);
            assert_eq!((rejections[0].kind, &*rejections[0].name), (ResourceType::Cluster, "e2"), "{protocol:?}");
            assert!(!rejections[0].message.is_empty());

            // A good one that turns bad keeps serving as it was; others go on.
            server.publish([bad("b"), cluster("a", 5)]);
            until("it is found too", || server.hub.rejections().len() == 2).await;
            eventually("a goes on", || async { envoy.connect_timeout("a").await.as_deref() == Some("5s") }).await;
            assert!(envoy.has_endpoint("b", 1002).await);
            server.publish([cluster("b", 6), cluster("e2", 1), endpoints("e2", 1004)]);
            eventually("b is mended", || async { envoy.connect_timeout("b").await.as_deref() == Some("6s") }).await;
            until("nothing is rejected", || server.hub.rejections().is_empty()).await;
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn a_reconnect_sends_the_difference_only() {
    for protocol in PROTOCOLS {
        let first = Server::start(Config::default()).await;
        publish_basics(&first);
        let Some(envoy) = Envoy::start(protocol, first.address).await else { return };
        is_routed(&envoy, "a").await;
        eventually("listening", || async { envoy.stat("listener_manager.total_listeners_active").await == 1 }).await;
        let port = first.address.port();
        first.stop().await;

        let second = Server::closed(Config::default(), port).await;
        publish_basics(&second);
        second.hub.open();
        until("it is back", || second.hub.proxies().first().is_some_and(|proxy| proxy.types.len() == 4)).await;
        assert_eq!(second.resource_bytes(), 0, "{protocol:?}");
        second.publish([endpoints("a", 2001)]);
        eventually("it is served", || async { envoy.has_endpoint("a", 2001).await }).await;
        assert_eq!(second.hub.metrics().resources(ResourceType::Endpoints), 1);
        assert_eq!(second.hub.metrics().resources(ResourceType::Cluster), 0);
        envoy.settles_on(&["a", "b"]).await;
        second.stop().await;

        // While nobody looked, b vanished, and a changed: its endpoints must come with it.
        let third = Server::closed(Config::default(), port).await;
        third.publish([cluster("a", 8), endpoints("a", 2001), listener("web"), routes("web", "a")]);
        third.hub.open();
        eventually("a changed", || async { envoy.connect_timeout("a").await.as_deref() == Some("8s") }).await;
        envoy.settles_on(&["a"]).await;
        third.stop().await;
    }
}
