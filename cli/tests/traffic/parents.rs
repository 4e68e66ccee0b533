//! Gateways that a route attaches to.

use crate::support::{route_of, traffic};

const V1: &str = "\n  - backendRefs: [{name: app, namespace: app, port: 8080}]";

#[test]
fn a_route_may_have_several_gateways() {
    traffic(async |world| {
        let parents = "{name: edge}, {name: edge, namespace: infra, sectionName: second}";
        world.apply("several", &route_of("app", "several", parents, &["several.test"], V1)).await;
        world.get("app", "several.test", "/").reaches("app").await;
        world.get("second", "several.test", "/").reaches("app").await;
        world.get("http", "several.test", "/").gets(404).await;
    });
}

#[test]
fn a_listener_is_chosen_by_name_and_port() {
    traffic(async |world| {
        let [http, second] = ["http", "second"].map(|name| world.port(name));
        let rule = |backend: &str| format!("\n  - backendRefs: [{{name: {backend}, port: 8080}}]");
        let of = |name: &str, parent: &str, backend: &str| {
            let parent = format!("{{name: edge, namespace: infra, {parent}}}");
            route_of("infra", name, &parent, &[&format!("{name}.test")], &rule(backend))
        };
        let routes = [
            of("by-port", &format!("port: {second}"), "v1"),
            of("by-both", &format!("sectionName: http, port: {http}"), "v2"),
            of("by-neither", &format!("sectionName: http, port: {second}"), "v3"),
            of("by-wrong-name", "sectionName: nowhere", "v3"),
        ];
        world.apply("listener-choice", &routes.concat()).await;
        world.get("second", "by-port.test", "/").reaches("v1").await;
        world.get("http", "by-port.test", "/").gets(404).await;
        world.get("http", "by-both.test", "/").reaches("v2").await;
        world.get("second", "by-both.test", "/").gets(404).await;
        for name in ["by-neither", "by-wrong-name"] {
            world.get("http", &format!("{name}.test"), "/").gets(404).await;
            world.get("second", &format!("{name}.test"), "/").gets(404).await;
            let status = world.status(&format!("HTTPRoute infra/{name}")).await;
            assert_eq!(status["parents"][0]["conditions"][0]["reason"], "NoMatchingParent", "{status:#}");
        }
    });
}

#[test]
fn a_gateway_takes_routes_of_the_namespaces_that_it_allows() {
    traffic(async |world| {
        let rules = "\n  - backendRefs: [{name: web, port: 8080}]";
        let allowed = route_of("web", "allowed", "{name: edge, namespace: infra}", &["allowed.test"], rules);
        let refused = route_of("web", "refused", "{name: edge, namespace: app}", &["refused.test"], rules);
        world.apply("namespaces", &(allowed + &refused)).await;
        world.get("http", "allowed.test", "/").reaches("web").await;
        world.get("app", "refused.test", "/").gets(404).await;
        let status = world.status("HTTPRoute web/refused").await;
        assert_eq!(status["parents"][0]["conditions"][0]["reason"], "NotAllowedByListeners", "{status:#}");
    });
}
