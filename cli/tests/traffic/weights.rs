//! Shares of a rule's requests.

use crate::support::{World, route, traffic};
use std::collections::BTreeMap;

/// Requests per round, the tolerance, and how many rounds may miss it by chance, as the official suite has them.
const REQUESTS: usize = 500;
const TOLERANCE: f64 = 0.05;
const ROUNDS: usize = 10;

/// What share of the requests for a host each backend, or status, answered in one round.
async fn shares(world: &World, host: &str) -> BTreeMap<String, f64> {
    let ask = world.get("http", host, "/");
    let mut shares = BTreeMap::<String, f64>::new();
    for _ in 0..REQUESTS {
        let answer = ask.send().await.unwrap();
        let backend = answer.echo["backend"].as_str().map(str::to_owned);
        *shares.entry(backend.unwrap_or_else(|| answer.status.to_string())).or_default() += 1.0 / REQUESTS as f64;
    }
    shares
}

/// Requests for a host are shared like this.
async fn is_shared(world: &World, host: &str, wanted: &[(&str, f64)]) {
    world.get("http", host, "/").until("an answer by the route", |answer| answer.status != 404).await;
    let mut last = BTreeMap::new();
    for _ in 0..ROUNDS {
        last = shares(world, host).await;
        // Chance does not send requests to those who should have none.
        assert_eq!(last.len(), wanted.len(), "{last:?}");
        let near = |(who, share): &(&str, f64)| last.get(*who).is_some_and(|got| (got - share).abs() <= TOLERANCE);
        if wanted.iter().all(near) {
            return;
        }
    }
    panic!("wanted {wanted:?}, last got {last:?}");
}

#[test]
fn requests_are_shared_by_weight() {
    traffic(async |world| {
        let rules = r"
  - backendRefs:
    - {name: v1, port: 8080, weight: 70}
    - {name: v2, port: 8080, weight: 30}
    - {name: v3, port: 8080, weight: 0}";
        world.apply("weights", &route("weights", rules)).await;
        is_shared(world, "weights.test", &[("v1", 0.7), ("v2", 0.3)]).await;
    });
}

#[test]
fn the_share_of_a_backend_that_is_not_there_gets_500() {
    traffic(async |world| {
        let rules = r"
  - backendRefs:
    - {name: v1, port: 8080, weight: 1}
    - {name: missing, port: 8080, weight: 3}";
        world.apply("share-of-500", &route("share-of-500", rules)).await;
        is_shared(world, "share-of-500.test", &[("v1", 0.25), ("500", 0.75)]).await;
    });
}

#[test]
fn a_rule_without_a_backend_that_counts_gets_500() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /none}}]
  - matches: [{path: {value: /zero}}]
    backendRefs: [{name: v1, port: 8080, weight: 0}, {name: v2, port: 8080, weight: 0}]
  - matches: [{path: {value: /one}}]
    backendRefs: [{name: v1, port: 8080, weight: 0}, {name: v2, port: 8080}]";
        world.apply("no-backend", &route("no-backend", rules)).await;
        world.get("http", "no-backend.test", "/one").reaches("v2").await;
        world.get("http", "no-backend.test", "/none").gets(500).await;
        world.get("http", "no-backend.test", "/zero").gets(500).await;
    });
}
