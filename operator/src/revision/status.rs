//! What a revision's status says. No client.

use super::{
    apply::Applied,
    dereference::Seen,
    health::{self, Health},
    validate::Revision,
};
use crate::{condition::Verdict, controller::Outcome, status};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::api::DynamicObject;
use std::time::Duration;
use tombolo_api::mesh::{Condition, MeshRevisionStatus};

/// A pod's reasons do not show at its Deployment, which is what is watched: it is looked at again, at first so soon, and at last
/// so seldom.
const LOOK: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(30));

pub(super) fn outcome(
    object: &DynamicObject,
    revision: &Revision,
    seen: &Seen,
    applied: &Applied,
    pods: &[Pod],
    now: Timestamp,
) -> Outcome<MeshRevisionStatus> {
    let before: MeshRevisionStatus = status::of(object);
    let health = applied.deployment.as_ref().map(|deployment| health::of(deployment, pods, now)).unwrap_or_default();
    let version = revision.release.version;
    let mut verdicts = of_health(&health, version, &before.serving_version);
    verdicts.push(in_use(seen));
    let serving_version = if health.complete { version.to_owned() } else { before.serving_version.clone() };
    Outcome {
        status: MeshRevisionStatus {
            serving_version,
            replicas: health.wanted,
            ready_replicas: health.available,
            ..MeshRevisionStatus::default()
        },
        verdicts,
        again: (!health.complete).then(|| look(&before.conditions, now)),
    }
}

/// When to look again at what is not complete: after a tenth of the time that it has taken.
fn look(before: &[Condition], now: Timestamp) -> Duration {
    let progressing = before.iter().find(|condition| condition.r#type == "Progressing" && condition.status == "True");
    let since = progressing.and_then(|condition| condition.last_transition_time.parse::<Timestamp>().ok());
    let taken = since.map(|since| now.duration_since(since).unsigned_abs()).unwrap_or_default();
    (taken / 10).clamp(LOOK.0, LOOK.1)
}

fn of_health(health: &Health, version: &str, serving: &str) -> Vec<Verdict> {
    if health.complete {
        let message = format!("version {version} serves with {} replicas", health.available);
        return vec![
            Verdict::new("Ready", true, "Serving", &message),
            Verdict::new("Progressing", false, "Complete", message),
            Verdict::new("Degraded", false, "Healthy", ""),
        ];
    }
    let progress = format!(
        "{} of {} replicas are of version {version} and the present settings",
        health.updated.min(health.wanted),
        health.wanted
    );
    let still = match (health.available, serving) {
        (0, _) => "nothing serves".to_owned(),
        (available, "") => format!("{available} serve"),
        (available, serving) if serving == version => format!("{available} serve"),
        (available, serving) => format!("{available} serve, of version {serving} too"),
    };
    let degraded = match &health.trouble {
        None => Verdict::new("Degraded", false, "Healthy", ""),
        Some(trouble) => {
            Verdict::new("Degraded", true, &trouble.reason, format!("{}; {still}", trouble.message)).alarming()
        }
    };
    // No update is under way: a pod is lost or one more is asked for, and the others serve.
    if health.uniform && health.available > 0 && serving == version {
        let message = format!("{} of {} replicas of version {version} serve", health.available, health.wanted);
        return vec![
            Verdict::new("Ready", true, "Serving", &message),
            Verdict::new("Progressing", true, "Scaling", message),
            degraded,
        ];
    }
    let progress = format!("{progress}; {still}");
    let ready = match &health.trouble {
        None => Verdict::new("Ready", false, "Updating", &progress),
        Some(trouble) => Verdict::new("Ready", false, &trouble.reason, &degraded.message),
    };
    vec![ready, Verdict::new("Progressing", true, "Updating", progress), degraded]
}

fn in_use(seen: &Seen) -> Verdict {
    if seen.tags.is_empty() {
        // Nobody was asked, and unknown counts as used.
        return Verdict::new(
            "InUse",
            crate::condition::Truth::Unknown,
            "NoTag",
            "no tag names it; proxies may be connected to it",
        );
    }
    Verdict::new("InUse", true, "Tagged", format!("named by {}", seen.tags.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{super::health::Trouble, *};

    fn said(health: &Health) -> Vec<(&'static str, &'static str, String)> {
        of_health(health, "0.2.0", "0.1.0").into_iter().map(|v| (v.about, v.truth.as_str(), v.reason)).collect()
    }

    #[test]
    fn an_update_that_hangs_says_why_and_what_still_serves() {
        let trouble = Some(Trouble {
            reason: "ImagePullBackOff".to_owned(),
            message: "pod d-1: ImagePullBackOff: not found".to_owned(),
        });
        let health = Health { wanted: 2, available: 2, updated: 1, uniform: false, complete: false, trouble };
        let expected = [
            ("Ready", "False", "ImagePullBackOff"),
            ("Progressing", "True", "Updating"),
            ("Degraded", "True", "ImagePullBackOff"),
        ];
        assert_eq!(said(&health), expected.map(|(a, t, r)| (a, t, r.to_owned())));
        let message = &of_health(&health, "0.2.0", "0.1.0")[2].message;
        assert_eq!(message, "pod d-1: ImagePullBackOff: not found; 2 serve, of version 0.1.0 too");
    }

    #[test]
    fn what_serves_is_ready() {
        let health = Health { wanted: 2, available: 2, updated: 2, uniform: true, complete: true, trouble: None };
        assert_eq!(said(&health)[0], ("Ready", "True", "Serving".to_owned()));
        let updating = Health { complete: false, uniform: false, ..health };
        assert_eq!(said(&updating)[1], ("Progressing", "True", "Updating".to_owned()));
    }

    #[test]
    fn a_lost_pod_or_one_more_leaves_ready_what_serves() {
        let lost = Health { wanted: 2, available: 1, updated: 2, uniform: true, complete: false, trouble: None };
        let more = Health { wanted: 3, available: 2, ..lost.clone() };
        for health in [&lost, &more] {
            let said: Vec<_> =
                of_health(health, "0.2.0", "0.2.0").into_iter().map(|v| (v.truth.as_str(), v.reason)).collect();
            assert_eq!(said[..2], [("True", "Serving".to_owned()), ("True", "Scaling".to_owned())]);
        }
        assert_eq!(said(&lost)[0].1, "False", "it served another version until now: the update is not through");
        let none = Health { available: 0, ..lost };
        assert_eq!(of_health(&none, "0.2.0", "0.2.0")[0].truth.as_str(), "False");
        let trouble = Some(Trouble { reason: "Unschedulable".to_owned(), message: "no node".to_owned() });
        let said = of_health(&Health { trouble, ..more }, "0.2.0", "0.2.0");
        let said: Vec<_> = said.into_iter().map(|v| (v.truth.as_str(), v.reason)).collect();
        assert_eq!((said[0].0, said[2].0, &*said[2].1), ("True", "True", "Unschedulable"));
    }

    #[test]
    fn what_hangs_is_looked_at_less_and_less() {
        let condition = |status: &str| Condition {
            r#type: "Progressing".to_owned(),
            status: status.to_owned(),
            reason: String::new(),
            message: String::new(),
            last_transition_time: "2026-01-01T10:00:00Z".to_owned(),
            observed_generation: 1,
        };
        let seconds = |at: &str| look(&[condition("True")], format!("2026-01-01T{at}Z").parse().unwrap()).as_secs();
        assert_eq!(["10:00:01", "10:01:00", "10:05:00", "23:00:00"].map(seconds), [3, 6, 30, 30]);
        assert_eq!(look(&[condition("False")], Timestamp::MAX), LOOK.0);
        assert_eq!(look(&[], Timestamp::MAX), LOOK.0);
    }
}
