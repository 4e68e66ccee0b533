//! What a gateway does for every request, by Envoy's edge guidance.

use crate::support::{route, traffic};

const RULES: &str = r"
  - matches: [{path: {value: /admin}}]
    backendRefs: [{name: v2, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";

#[test]
fn a_path_has_one_spelling() {
    traffic(async |world| {
        world.apply("edge-paths", &route("edge-paths", RULES)).await;
        let cases = [
            ("/admin", "/admin"),
            ("//admin", "/admin"),
            ("/x/../admin//a", "/admin/a"),
            ("/./admin", "/admin"),
            ("/%61dmin", "/admin"),
        ];
        for (path, seen) in cases {
            let answer = world.get("http", "edge-paths.test", path).reaches("v2").await;
            assert_eq!(answer.echo["path"], seen, "{path}");
        }
        // An escaped slash means different things to different servers: the client is told to say what it means.
        for path in ["/x%2F..%2Fadmin", "/%2Fadmin", "/%2fadmin"] {
            let answer = world.get("http", "edge-paths.test", path).gets(307).await;
            assert!(answer.header("location").ends_with("/admin"), "{path}: {:?}", answer.headers);
        }
    });
}

#[test]
fn a_header_with_an_underscore_is_refused() {
    traffic(async |world| {
        world.apply("edge-underscore", &route("edge-underscore", RULES)).await;
        let ask = world.get("http", "edge-underscore.test", "/");
        ask.reaches("v1").await;
        ask.header("x_user", "root").gets(400).await;
    });
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    traffic(async |world| {
        world.apply("edge-trust", &route("edge-trust", RULES)).await;
        let ask = world.get("http", "edge-trust.test", "/").header("x-forwarded-for", "10.9.9.9");
        let ask = ask.header("x-forwarded-proto", "https").header("x-envoy-upstream-rq-timeout-ms", "1");
        let ask = ask.header("x-envoy-internal", "true").header("x-envoy-external-address", "10.9.9.9");
        let answer = ask.reaches("v1").await;
        assert_eq!(answer.reached("x-envoy-external-address"), "127.0.0.1");
        // Who called comes last, after what it claims. (For loopback an Envoy puts an address of the machine.)
        let forwarded = answer.reached("x-forwarded-for");
        let (claimed, caller) = forwarded.rsplit_once(',').unwrap();
        assert_eq!(claimed, "10.9.9.9");
        assert_ne!(caller, "10.9.9.9");
        assert_eq!(answer.reached("x-forwarded-proto"), "http");
        assert_eq!(answer.reached("x-envoy-internal"), "");
        assert_eq!(answer.reached("x-envoy-upstream-rq-timeout-ms"), "");
        assert_ne!(answer.reached("x-request-id"), "");
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("x-envoy-upstream-service-time"), "");
    });
}
