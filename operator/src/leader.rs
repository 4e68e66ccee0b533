//! One replica of the operator writes; the others stand by.

use crate::context::Context;
use std::{future::Future, sync::Arc};
use tokio_util::sync::CancellationToken;
use tombolo_kubernetes::lease::{Lease, LeaseConfig};

/// The Lease of whoever writes.
const LEASE: &str = "tombolo-operator";

/// Stands for the operator's Lease until told to stop, and does the work while it is held.
///
/// Work ends at once when the Lease is lost: another takes over soon. When told to stop, what is under way is finished before the
/// Lease is given back, or given up after a moment.
pub(crate) async fn stand<W: Future<Output = ()>>(
    context: Arc<Context>,
    namespace: &str,
    identity: &str,
    stop: CancellationToken,
    work: impl Fn(Arc<Context>, CancellationToken) -> W,
) {
    let config = LeaseConfig::default();
    let (election, mut held) = Lease::new(context.client.clone(), namespace, LEASE, identity, config);
    let withdraw = CancellationToken::new();
    let election = tokio::spawn(election.run(withdraw.clone()));
    loop {
        let taken = stop.run_until_cancelled(held.wait_for(|held| *held)).await;
        if taken.is_none_or(|taken| taken.is_err()) {
            break;
        }
        tokio::select! {
            () = work(context.clone(), stop.clone()) => {}
            _ = held.wait_for(|held| !*held) => tracing::warn!("another replica writes now"),
        }
    }
    withdraw.cancel();
    _ = election.await; // it has said why, if it ended badly
}
