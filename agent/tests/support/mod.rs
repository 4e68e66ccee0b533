//! What the config stream's tests share: control planes that do as they are told, real resources, a real Envoy, a backend.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod agent;
pub mod backend;
pub mod envoy;
pub mod plane;
pub mod resources;

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Longer than anything here takes, shorter than anyone's patience.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a condition holds; `dump` says how things stand if it never does.
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
    dump: impl Fn() -> String,
) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "it never holds: {what}\n{}", dump());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for something that must happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("it does not happen: {what}"))
}
