//! Edits under load: not one request may fail.

use crate::support::{Ask, World, eventually, free_ports, route, route_of, traffic};
use std::cell::Cell;

/// Sends one request after another from two clients while the edits are made. Each must be answered by a backend.
async fn under_load(world: &World, ask: Ask<'_>, edits: impl AsyncFnOnce()) {
    let over = Cell::new(false);
    let client = async || {
        let mut sent = 0;
        while !over.get() {
            match ask.send().await {
                Ok(answer) if answer.status == 200 => sent += 1,
                failed => panic!("after {sent} requests: {failed:#?}\n{}", world.dump().await),
            }
        }
        sent
    };
    let edits = async {
        edits().await;
        over.set(true);
    };
    let ((), first, second) = tokio::join!(Box::pin(edits), Box::pin(client()), Box::pin(client()));
    assert!(first.min(second) > 10, "too few requests to tell: {first} and {second}");
}

#[test]
fn an_edited_route_loses_no_request() {
    traffic(async |world| {
        let to = |backend: &str| route("live", &format!("\n  - backendRefs: [{{name: {backend}, port: 8080}}]"));
        world.apply("live", &to("v1")).await;
        let ask = world.get("http", "live.test", "/");
        ask.reaches("v1").await;
        under_load(world, ask.clone(), async || {
            for backend in ["v2", "v3", "h2c", "v1"].into_iter().cycle().take(12) {
                world.apply("live", &to(backend)).await;
                ask.reaches(backend).await;
            }
        })
        .await;
    });
}

#[test]
fn endpoints_that_come_and_go_lose_no_request() {
    traffic(async |world| {
        let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: moving, namespace: infra}\n\
                       spec: {clusterIP: 10.0.0.8, ports: [{port: 8080}]}\n";
        let at = |backend: &str| {
            let port = world.backend(backend).port();
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: moving-1, namespace: infra, labels: {{kubernetes.io/service-name: moving}}}}\n\
                 addressType: IPv4\nports: [{{port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            )
        };
        let rules = "\n  - backendRefs: [{name: moving, port: 8080}]";
        world.apply("moving", &(service.to_owned() + &route("moving", rules))).await;
        world.apply("moving-endpoints", &at("v1")).await;
        let ask = world.get("http", "moving.test", "/");
        ask.reaches("v1").await;
        under_load(world, ask.clone(), async || {
            for backend in ["v2", "v3", "v1"].into_iter().cycle().take(12) {
                world.apply("moving-endpoints", &at(backend)).await;
                ask.reaches(backend).await;
            }
        })
        .await;
    });
}

#[test]
fn an_edited_listener_loses_no_request() {
    traffic(async |world| {
        let ports = free_ports(2);
        let gateway = |host: &str, second: bool| {
            let second = match second {
                true => format!("  - {{name: two, port: {}, protocol: HTTP}}\n", ports[1]),
                false => String::new(),
            };
            format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: busy, namespace: infra}}\n\
                 spec:\n  gatewayClassName: tombolo\n  listeners:\n\
                 \x20 - {{name: one, port: {}, protocol: HTTP, hostname: \"{host}\"}}\n{second}",
                ports[0]
            )
        };
        let rules = "\n  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("busy-route", &route_of("infra", "busy", "{name: busy}", &["busy.test"], rules)).await;
        world.apply("busy", &gateway("busy.test", false)).await;
        let ask = world.get_from("infra/busy", "one", "busy.test", "/").await;
        ask.reaches("v1").await;
        under_load(world, ask.clone(), async || {
            world.apply("busy", &gateway("*.test", true)).await;
            let two = world.get_from("infra/busy", "two", "busy.test", "/").await;
            for (host, second) in [("*.test", true), ("busy.test", false), ("*.test", true), ("busy.test", false)] {
                world.apply("busy", &gateway(host, second)).await;
                let as_wanted = async || (two.send().await.is_ok() == second).then_some(()).ok_or(());
                eventually(as_wanted).await.expect("the second listener comes and goes");
            }
        })
        .await;
    });
}
