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
use tombolo_api::mesh::MeshRevisionStatus;

/// A pod's reasons do not show at its Deployment, which is what is watched.
const WHILE_UPDATING: Duration = Duration::from_secs(3);

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
    let serving_version = if health.complete { version.to_owned() } else { before.serving_version };
    Outcome {
        status: MeshRevisionStatus {
            serving_version,
            replicas: health.wanted,
            ready_replicas: health.available,
            ..MeshRevisionStatus::default()
        },
        verdicts,
        again: (!health.complete).then_some(WHILE_UPDATING),
    }
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
    match &health.trouble {
        None => vec![
            Verdict::new("Ready", false, "Updating", format!("{progress}; {still}")),
            Verdict::new("Progressing", true, "Updating", format!("{progress}; {still}")),
            Verdict::new("Degraded", false, "Healthy", ""),
        ],
        Some(trouble) => vec![
            Verdict::new("Ready", false, &trouble.reason, format!("{}; {still}", trouble.message)),
            Verdict::new("Progressing", true, "Updating", format!("{progress}; {still}")),
            Verdict::new("Degraded", true, &trouble.reason, format!("{}; {still}", trouble.message)).alarming(),
        ],
    }
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
        let health = Health { wanted: 2, available: 2, updated: 1, complete: false, trouble };
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
        let health = Health { wanted: 2, available: 2, updated: 2, complete: true, trouble: None };
        assert_eq!(said(&health)[0], ("Ready", "True", "Serving".to_owned()));
        let updating = Health { complete: false, ..health };
        assert_eq!(said(&updating)[1], ("Progressing", "True", "Updating".to_owned()));
    }
}
