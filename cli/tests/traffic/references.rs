//! Backends that a route refers to: permitted, refused, and not there.

use crate::support::{World, route, traffic};

/// The reason of a route's `ResolvedRefs`.
async fn resolved(world: &World, route: &str) -> String {
    let status = world.status(&format!("HTTPRoute infra/{route}")).await;
    let conditions = status["parents"][0]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == "ResolvedRefs");
    found.map(|condition| condition["reason"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

fn grant(to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: grant, namespace: web}}\n\
         spec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra}}]\n  to: [{to}]\n"
    )
}

#[test]
fn a_backend_of_another_namespace_needs_its_consent() {
    traffic(async |world| {
        let rules = "\n  - backendRefs: [{name: web, namespace: web, port: 8080}]";
        world.apply("grant-route", &route("grant-route", rules)).await;
        let ask = world.get("http", "grant-route.test", "/");
        ask.gets(500).await;
        assert_eq!(resolved(world, "grant-route").await, "RefNotPermitted");
        world.apply("grant", &grant("{group: '', kind: Service, name: another}")).await;
        ask.gets(500).await;
        world.apply("grant", &grant("{group: '', kind: Service, name: web}")).await;
        ask.reaches("web").await;
        assert_eq!(resolved(world, "grant-route").await, "ResolvedRefs");
        world.apply("grant", &grant("{group: '', kind: Secret}")).await;
        ask.gets(500).await;
    });
}

#[test]
fn references_that_lead_nowhere_are_answered_with_500() {
    traffic(async |world| {
        let external = "---\napiVersion: v1\nkind: Service\nmetadata: {name: outside, namespace: infra}\n\
                        spec: {type: ExternalName, externalName: example.org, ports: [{port: 8080}]}\n";
        let cases = [
            ("no-service", "{name: missing, port: 8080}", "BackendNotFound"),
            ("no-port", "{name: v1, port: 81}", "BackendNotFound"),
            ("no-kind", "{group: other.test, kind: Thing, name: v1, port: 8080}", "InvalidKind"),
            ("external", "{name: outside, port: 8080}", "BackendNotFound"),
        ];
        let of = |(name, backend, _): &(&str, &str, &str)| route(name, &format!("\n  - backendRefs: [{backend}]"));
        world.apply("nowhere", &(cases.iter().map(of).collect::<String>() + external)).await;
        for (name, _, reason) in cases {
            world.get("http", &format!("{name}.test"), "/").gets(500).await;
            assert_eq!(resolved(world, name).await, reason, "{name}");
        }
    });
}

#[test]
fn a_filter_that_is_not_known_lets_nothing_pass() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /extended}}]
    filters: [{type: ExtensionRef, extensionRef: {group: other.test, kind: Thing, name: x}}]
    backendRefs: [{name: v1, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("extension", &route("extension", rules)).await;
        world.get("http", "extension.test", "/").reaches("v1").await;
        world.get("http", "extension.test", "/extended").gets(500).await;
    });
}
