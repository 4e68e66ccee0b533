//! What the tests have in common.

mod application;
mod envoy;

pub(crate) use application::Application;
pub(crate) use envoy::{Home, get, program, running, settings};

use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until something has come to pass, and fails with the last word about it where it has not.
pub(crate) async fn eventually<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "not within {DEADLINE:?}: {error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
