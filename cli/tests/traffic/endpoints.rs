//! Where a service's requests go.

use crate::support::{route, traffic};
use std::collections::BTreeSet;

fn service(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: infra}}\n\
         spec: {{clusterIP: 10.0.0.7, ports: [{{name: main, port: 8080}}]}}\n"
    )
}

fn slice(service: &str, index: usize, port: u16, ready: bool) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {service}-{index}, namespace: infra, labels: {{kubernetes.io/service-name: {service}}}}}\n\
         addressType: IPv4\nports: [{{name: main, port: {port}}}]\n\
         endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: {ready}}}}}]\n"
    )
}

#[test]
fn a_service_without_endpoints_is_unavailable_until_it_has_one() {
    traffic(async |world| {
        let rules = "\n  - backendRefs: [{name: empty, port: 8080}]";
        world.apply("empty", &(service("empty") + &route("empty", rules))).await;
        let ask = world.get("http", "empty.test", "/");
        ask.gets(503).await;
        world.apply("empty-endpoints", &slice("empty", 1, world.backend("v1").port(), true)).await;
        ask.reaches("v1").await;
    });
}

#[test]
fn every_slice_counts_and_no_endpoint_that_is_not_ready() {
    traffic(async |world| {
        let port = |name| world.backend(name).port();
        let slices = [("v1", true), ("v2", true), ("v3", false)];
        let slices = slices.iter().enumerate().map(|(i, (name, ready))| slice("many", i, port(name), *ready));
        let rules = "\n  - backendRefs: [{name: many, port: 8080}]";
        world.apply("many", &(service("many") + &slices.collect::<String>() + &route("many", rules))).await;
        let ask = world.get("http", "many.test", "/");
        ask.until("200", |answer| answer.status == 200).await;
        let mut answered = BTreeSet::new();
        for _ in 0..60 {
            let answer = ask.send().await.unwrap();
            assert_eq!(answer.status, 200);
            answered.insert(answer.echo["backend"].as_str().unwrap().to_owned());
        }
        assert_eq!(answered, BTreeSet::from(["v1".to_owned(), "v2".to_owned()]));
    });
}

#[test]
fn a_client_stays_with_its_endpoint_where_the_service_wants_that() {
    traffic(async |world| {
        let port = |name| world.backend(name).port();
        let slices = ["v1", "v2", "v3"].iter().enumerate().map(|(i, name)| slice("sticky", i, port(name), true));
        let sticky = service("sticky").replace("clusterIP", "sessionAffinity: ClientIP, clusterIP");
        let rules = "\n  - backendRefs: [{name: sticky, port: 8080}]";
        world.apply("sticky", &(sticky + &slices.collect::<String>() + &route("sticky", rules))).await;
        let ask = world.get("http", "sticky.test", "/");
        ask.until("200", |answer| answer.status == 200).await;
        let mut answered = BTreeSet::new();
        for _ in 0..60 {
            answered.insert(ask.send().await.unwrap().echo["backend"].as_str().unwrap().to_owned());
        }
        assert_eq!(answered.len(), 1, "{answered:?}");
    });
}

#[test]
fn headless_and_selectorless_services_are_served_by_their_slices() {
    traffic(async |world| {
        let headless = "---\napiVersion: v1\nkind: Service\nmetadata: {name: headless, namespace: infra}\n\
                        spec: {clusterIP: None, selector: {app: x}, ports: [{name: main, port: 8080, targetPort: web}]}\n";
        let by_name = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                       metadata: {name: by-name-1, namespace: infra, labels: {kubernetes.io/service-name: by-name}}\n\
                       addressType: FQDN\nports: [{name: main, port: PORT}]\nendpoints: [{addresses: [by-name.localhost]}]\n";
        let port = world.backend("v2").port();
        let by_name = by_name.replace("PORT", &port.to_string());
        let rules = r"
  - matches: [{path: {value: /headless}}]
    backendRefs: [{name: headless, port: 8080}]
  - matches: [{path: {value: /by-name}}]
    backendRefs: [{name: by-name, port: 8080}]";
        let services = [headless, &slice("headless", 1, port, true), &service("by-name"), &by_name].concat();
        world.apply("service-types", &(services + &route("service-types", rules))).await;
        world.get("http", "service-types.test", "/headless").reaches("v2").await;
        world.get("http", "service-types.test", "/by-name").reaches("v2").await;
    });
}

#[test]
fn those_that_end_serve_only_where_nobody_else_does() {
    traffic(async |world| {
        let ending = |index, name| {
            let conditions = "ready: false, serving: true, terminating: true";
            slice("ending", index, world.backend(name).port(), false).replace("ready: false", conditions)
        };
        let rules = "\n  - backendRefs: [{name: ending, port: 8080}]";
        world.apply("ending", &(service("ending") + &ending(1, "v1") + &route("ending", rules))).await;
        let ask = world.get("http", "ending.test", "/");
        ask.reaches("v1").await;
        world.apply("ending-next", &slice("ending", 2, world.backend("v2").port(), true)).await;
        ask.reaches("v2").await;
        for _ in 0..30 {
            assert!(ask.send().await.unwrap().is_from("v2"));
        }
    });
}
