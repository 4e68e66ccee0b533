//! What the tests have in common.

mod application;
mod envoy;

pub(crate) use application::Application;
pub(crate) use envoy::{Home, get, program, running, settings};

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A port that nobody listens on, and that the system gives to no connection: it may be bound later, and again.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below what Linux gives out by itself; runs at the same time begin elsewhere.
    let first = 18_000 + u16::try_from(std::process::id() % 12_000).unwrap();
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, first + NEXT.fetch_add(1, Ordering::Relaxed)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

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
