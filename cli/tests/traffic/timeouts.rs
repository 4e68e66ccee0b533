//! How long an answer may take (`HTTPRouteTimeouts`).

use crate::support::{route, traffic};

#[test]
fn a_request_may_take_as_long_as_its_rule_says() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /request}}]
    timeouts: {request: 500ms}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /backend}}]
    timeouts: {backendRequest: 500ms}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /both}}]
    timeouts: {request: 10s, backendRequest: 500ms}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /off}}]
    timeouts: {request: 0s, backendRequest: 0s}
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("timeouts", &route("timeouts", rules)).await;
        for path in ["/request", "/backend", "/both", "/off"] {
            world.get("http", "timeouts.test", path).reaches("v1").await;
        }
        for path in ["/request", "/backend", "/both"] {
            let answer = world.get("http", "timeouts.test", &format!("{path}?delay=3000")).send().await.unwrap();
            assert_eq!(answer.status, 504, "{path}");
        }
        world.get("http", "timeouts.test", "/off?delay=1000").reaches("v1").await;
    });
}
