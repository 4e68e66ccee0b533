//! Whether a proxy may be sent traffic: Envoy runs, has its first config, and everything else that it needs is fine.

use super::{
    client::{Client, ClientError},
    keeper::{Phase, Status},
};
use std::time::Duration;
use tokio::{sync::watch, time::sleep};

/// How often to ask an Envoy that is not ready: at first, and at last, as it may wait for a control plane that is away.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(2);
/// How often to ask one that is.
const READY: Duration = Duration::from_secs(5);

/// Publishes why a proxy is not ready, and nothing when it is. Runs until nobody listens.
///
/// `others` are reasons that Envoy cannot know, such as a certificate that ran out.
pub async fn readiness(
    client: Client,
    mut status: watch::Receiver<Status>,
    mut others: watch::Receiver<Vec<String>>,
    reasons: watch::Sender<Vec<String>>,
) {
    let (mut configured, mut patience) = (None, SOON);
    loop {
        let envoy = status.borrow_and_update().clone();
        let mut now: Vec<String> = others.borrow_and_update().clone();
        now.extend(of_envoy(&client, &envoy, &mut configured).await);
        let wait = if now.is_empty() { READY } else { patience };
        reasons.send_if_modified(|reasons| {
            let changed = *reasons != now;
            *reasons = now;
            changed
        });
        tokio::select! {
            () = reasons.closed() => return,
            () = sleep(wait) => patience = if wait == READY { SOON } else { (patience * 2).min(LATER) },
            Ok(()) = status.changed() => patience = SOON,
            Ok(()) = others.changed() => patience = SOON,
        }
    }
}

/// Why Envoy is not ready. `configured` is the process that has had its first config: it is not asked for that again, as Envoy goes
/// through all of its statistics to answer.
async fn of_envoy(client: &Client, status: &Status, configured: &mut Option<i32>) -> Option<String> {
    match (status.phase, status.pid) {
        (Phase::Running, pid @ Some(_)) => {
            let asked = async {
                let state = client.state().await?;
                if state != "LIVE" {
                    return Ok(Some(format!("Envoy is not live yet: {state}")));
                }
                if *configured == pid {
                    return Ok(None);
                }
                let missing = first_config(&client.stats(FILTER).await?);
                *configured = pid.filter(|_| missing.is_none());
                Ok::<_, ClientError>(missing)
            };
            asked.await.unwrap_or_else(|error| Some(error.to_string()))
        }
        (Phase::Draining | Phase::Drained, _) => Some("Envoy is draining".into()),
        _ => Some(status.failure.clone().unwrap_or_else(|| "Envoy is not running".into())),
    }
}

const FILTER: &str = r"^listener_manager\.(workers_started|lds\.update_(success|rejected))$";

/// What is missing for an Envoy to have its first config: listeners that it accepted, and all that they waited for. Without them it
/// answers nobody, whatever else it accepted.
fn first_config(stats: &[(String, u64)]) -> Option<String> {
    let value = |name: &str| stats.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value);
    let lds = |what: &str| value(&format!("listener_manager.lds.{what}"));
    match (lds("update_success"), value("listener_manager.workers_started"), lds("update_rejected")) {
        (0, _, 0) => Some("Envoy waits for its first listeners".into()),
        (0, ..) => Some("Envoy has rejected its first listeners: see its log".into()),
        (_, 0, _) => Some("Envoy's workers have not started: some of its first config is still on its way".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_config_is_there_when_listeners_were_accepted_and_the_workers_run() {
        let (success, rejected) = ("listener_manager.lds.update_success", "listener_manager.lds.update_rejected");
        let workers = "listener_manager.workers_started";
        let cases: [(&[(&str, u64)], &str); 5] = [
            (&[(workers, 1)], "waits"),
            (&[(rejected, 2)], "rejected"),
            (&[(rejected, 1), ("cluster_manager.cds.update_success", 1), (workers, 1)], "rejected"),
            (&[(success, 1), (workers, 0)], "workers"),
            (&[(success, 1), (rejected, 1), (workers, 1)], ""),
        ];
        for (stats, expected) in cases {
            let stats: Vec<_> = stats.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let reason = first_config(&stats);
            assert!(
                reason.as_deref().map_or(expected.is_empty(), |r| !expected.is_empty() && r.contains(expected)),
                "{reason:?}"
            );
        }
    }
}
