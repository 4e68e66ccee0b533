//! Shares of a rule's requests.

use crate::support::{World, route, traffic};
use std::collections::BTreeMap;

/// Requests per case, as the official suite has it; so is the tolerance.
const REQUESTS: usize = 500;
const TOLERANCE: f64 = 0.05;

/// How many of 500 requests each backend, or status, answered.
async fn shares(world: &World, host: &str) -> BTreeMap<String, f64> {
    let ask = world.get("http", host, "/");
    ask.until("an answer by the route", |answer| answer.status != 404).await;
    let mut counts = BTreeMap::<String, f64>::new();
    for _ in 0..REQUESTS {
        let answer = ask.send().await.unwrap();
        let who = match answer.echo["backend"].as_str() {
            Some(backend) => backend.to_owned(),
            None => answer.status.to_string(),
        };
        *counts.entry(who).or_default() += 1.0 / REQUESTS as f64;
    }
    counts
}

fn assert_shares(got: &BTreeMap<String, f64>, wanted: &[(&str, f64)]) {
    for (who, share) in wanted {
        let got = got.get(*who).copied().unwrap_or_default();
        assert!((got - share).abs() <= TOLERANCE, "{who}: {got} of the requests, not {share}");
    }
    assert_eq!(got.len(), wanted.len(), "{got:?}");
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
        assert_shares(&shares(world, "weights.test").await, &[("v1", 0.7), ("v2", 0.3)]);
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
        assert_shares(&shares(world, "share-of-500.test").await, &[("v1", 0.25), ("500", 0.75)]);
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
