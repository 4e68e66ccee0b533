//! When a request is tried again (GEP-1731), and when without being asked.

use crate::support::{World, free_ports, route, traffic};

const RULES: &str = r"
  - matches: [{path: {value: /500}}]
    retry: {codes: [500], attempts: 3, backoff: 10ms}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /all}}]
    retry: {codes: [500, 502, 503, 504], attempts: 2, backoff: 10ms}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /slow}}]
    retry: {attempts: 2, backoff: 10ms}
    timeouts: {request: 10s, backendRequest: 300ms}
    backendRefs: [{name: v1, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";

/// Asks once for something that fails `fails` times, and says how it ended and how often it was tried.
async fn tries(world: &World, path: &str, status: u16, fails: u32) -> (u16, usize) {
    let asked = format!("{path}?status={status}&fail={fails}");
    let answer = world.get("http", "retries.test", &asked).send().await.unwrap();
    (answer.status, world.backend("v1").seen(path).len())
}

#[test]
fn a_rule_says_which_answers_are_tried_again_and_how_often() {
    traffic(async |world| {
        world.apply("retries", &route("retries", RULES)).await;
        world.get("http", "retries.test", "/ready").reaches("v1").await;
        assert_eq!(tries(world, "/500/a", 500, 2).await, (200, 3));
        assert_eq!(tries(world, "/500/b", 500, 4).await, (500, 4));
        assert_eq!(tries(world, "/500/c", 503, 2).await, (503, 1));
        for (path, status) in [("/all/500", 500), ("/all/502", 502), ("/all/503", 503), ("/all/504", 504)] {
            assert_eq!(tries(world, &format!("{path}/a"), status, 1).await, (200, 2));
            assert_eq!(tries(world, &format!("{path}/b"), status, 3).await, (status, 3));
        }
        // A connection that breaks is tried again whatever the codes; so is a try that took too long.
        assert_eq!(tries(world, "/500/d", 0, 2).await, (200, 3));
        let answer = world.get("http", "retries.test", "/slow?delay=2000").send().await.unwrap();
        assert_eq!((answer.status, world.backend("v1").seen("/slow").len()), (504, 3));
        // Without a rule that says so an answer is an answer, and a request that a backend may have seen is not repeated.
        assert_eq!(tries(world, "/plain/a", 503, 1).await, (503, 1));
        assert_eq!(tries(world, "/plain/b", 0, 1).await, (503, 1));
    });
}

/// One of two endpoints does not listen: whoever gets it first is given the other.
#[test]
fn a_connection_that_fails_is_tried_elsewhere_unasked() {
    traffic(async |world| {
        let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: half, namespace: infra}\n\
                       spec: {clusterIP: 10.0.0.9, ports: [{port: 8080}]}\n";
        let slice = |name: &str, port: u16| {
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: half-{name}, namespace: infra, labels: {{kubernetes.io/service-name: half}}}}\n\
                 addressType: IPv4\nports: [{{port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            )
        };
        let slices = slice("here", world.backend("v1").port()) + &slice("gone", free_ports(1)[0]);
        let rules = "\n  - backendRefs: [{name: half, port: 8080}]";
        world.apply("half", &(slices + service + &route("half", rules))).await;
        let ask = world.get("http", "half.test", "/");
        ask.reaches("v1").await;
        for _ in 0..40 {
            let answer = ask.send().await.unwrap();
            assert!(answer.is_from("v1"), "{answer:?}");
        }
    });
}
