//! Draining: an Envoy that is about to end finishes what it is doing.

use super::client::{Client, ClientError};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often to look whether an Envoy is done.
const POLL: Duration = Duration::from_millis(100);

/// How an Envoy drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DrainSettings {
    /// The longest that it takes: what is not finished by then is cut off. Istio's `terminationDrainDuration`; 5 seconds.
    pub deadline: Duration,
    /// The shortest that it takes: for as long new connections are taken even when nothing is left to do, because callers do not
    /// know yet. Istio's `MINIMUM_DRAIN_DURATION`; none, as callers of a machine are told by the control plane.
    pub minimum: Duration,
    /// How long connections may go on whose listener was changed or removed. Istio's `drainDuration`; 45 seconds.
    pub listeners: Duration,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), minimum: Duration::ZERO, listeners: Duration::from_secs(45) }
    }
}

/// Drains an Envoy: callers are told to go elsewhere, and once it has nothing left to do, or the deadline has passed, it takes no
/// more connections. An Envoy that does not answer cannot be drained.
pub(crate) async fn drain(client: &Client, settings: DrainSettings) -> Result<(), ClientError> {
    let finished = async {
        client.discourage().await?;
        sleep(settings.minimum).await;
        while unfinished(&client.stats(FILTER).await?) > 0 {
            sleep(POLL).await;
        }
        Ok(())
    };
    timeout(settings.deadline, finished).await.unwrap_or(Ok(()))?;
    client.close_listeners().await
}

const FILTER: &str = r"^(http|listener)\..*downstream_(rq|cx)_active$";

/// What an Envoy still does for others: HTTP requests, and connections that are not HTTP. Idle HTTP connections are nothing.
fn unfinished(stats: &[(String, u64)]) -> u64 {
    // The administration interface counts the very question. A listener's connections are counted again by worker.
    let others = |name: &str| !name.contains(".admin.") && !name.contains(".worker_");
    let sum = |prefix: &str, suffix: &str| -> u64 {
        let counted = |name: &str| name.starts_with(prefix) && name.ends_with(suffix) && others(name);
        stats.iter().filter(|(name, _)| counted(name)).map(|(_, value)| value).sum()
    };
    let connections = sum("listener.", ".downstream_cx_active");
    sum("http.", ".downstream_rq_active") + connections.saturating_sub(sum("http.", ".downstream_cx_active"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_and_connections_that_are_not_http_hold_an_envoy() {
        let cases: [(&[(&str, u64)], u64); 5] = [
            (&[], 0),
            (&[("http.admin.downstream_rq_active", 1), ("listener.admin.downstream_cx_active", 1)], 0),
            (&[("http.in.downstream_cx_active", 3), ("listener.0.0.0.0_80.downstream_cx_active", 3)], 0),
            (
                &[
                    ("http.in.downstream_rq_active", 2),
                    ("http.in.downstream_cx_active", 1),
                    ("listener.0.0.0.0_80.downstream_cx_active", 1),
                    ("listener.0.0.0.0_80.worker_0.downstream_cx_active", 1),
                ],
                2,
            ),
            (&[("listener.0.0.0.0_5432.downstream_cx_active", 4), ("http.in.downstream_cx_active", 1)], 3),
        ];
        for (stats, expected) in cases {
            let stats: Vec<_> = stats.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            assert_eq!(unfinished(&stats), expected, "{stats:?}");
        }
    }
}
