//! Gateways that come, change and go.

use crate::support::{eventually, free_ports, route_of, traffic};

/// A Gateway with these HTTP listeners: name, port, host.
fn gateway(listeners: &[(&str, u16, &str)]) -> String {
    let listener = |(name, port, host): &(&str, u16, &str)| {
        format!("  - {{name: {name}, port: {port}, protocol: HTTP, hostname: \"{host}\"}}\n")
    };
    let listeners: String = listeners.iter().map(listener).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: changing, namespace: infra}}\n\
         spec:\n  gatewayClassName: tombolo\n  listeners:\n{listeners}"
    )
}

#[test]
fn listeners_come_and_go_and_so_does_the_gateway() {
    traffic(async |world| {
        let ports = free_ports(2);
        let rules = "\n  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("changing-route", &route_of("infra", "changing", "{name: changing}", &[], rules)).await;

        world.apply("changing", &gateway(&[("one", ports[0], "one.test")])).await;
        let one = world.get_from("infra/changing", "one", "one.test", "/").await;
        one.reaches("v1").await;

        world.apply("changing", &gateway(&[("one", ports[0], "*.one.test"), ("two", ports[1], "two.test")])).await;
        let two = world.get_from("infra/changing", "two", "two.test", "/").await;
        two.reaches("v1").await;
        one.gets(404).await;
        world.get_from("infra/changing", "one", "x.one.test", "/").await.reaches("v1").await;

        world.apply("changing", &gateway(&[("two", ports[1], "two.test")])).await;
        let refused = eventually(async || one.send().await.err().ok_or(())).await;
        refused.expect("a listener that is gone takes no connections");
        two.reaches("v1").await;

        world.remove("changing");
        let refused = eventually(async || two.send().await.err().ok_or(())).await;
        refused.expect("a Gateway that is gone takes no connections");
    });
}
