//! What a revision's status says. No client.

use super::{
    apply::Applied,
    dereference::Seen,
    health::{self, Health},
    validate::Revision,
};
use crate::{
    condition::{Truth, Verdict},
    controller::Outcome,
    status,
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::api::DynamicObject;
use std::time::Duration;
use tombolo_api::mesh::{Condition, MeshRevisionStatus, ProxyCounts};

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
    verdicts.extend(in_use(seen, &before.conditions));
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

/// Whether anybody uses it; unknown counts as used. What was found of its proxies stays until they are looked for again.
fn in_use(seen: &Seen, before: &[Condition]) -> Option<Verdict> {
    if !seen.tags.is_empty() {
        return Some(Verdict::new("InUse", true, "Tagged", format!("named by {}", seen.tags.join(", "))));
    }
    let unknown = |why| Some(Verdict::new("InUse", Truth::Unknown, "NoTag", format!("no tag names it; {why}")));
    match seen.proxies {
        Some(count) if count.proxies != ProxyCounts::default() => {
            Some(Verdict::new("InUse", true, "Connected", "no tag names it, but proxies are connected to it"))
        }
        Some(count) if !count.complete => {
            unknown("proxies may be connected to it: not all of its replicas say whether any are")
        }
        Some(count) if count.unknown => unknown("somebody is connected to it of whom it is not known yet who it is"),
        Some(_) => Some(Verdict::new("InUse", false, "Unused", "no tag names it, and no proxy is connected to it")),
        None if before.iter().any(|old| old.r#type == "InUse" && old.reason != "Tagged") => None,
        None => unknown("proxies may be connected to it"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::health::Trouble, *};
    use crate::proxies::Count;

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
    fn it_is_in_use_while_a_tag_names_it_or_a_proxy_may_be_connected() {
        let seen = |tags: &[&str], proxies: Option<Count>| Seen {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            proxies,
            ..Seen::default()
        };
        let all = |sidecars| Count {
            proxies: ProxyCounts { sidecars, ..ProxyCounts::default() },
            complete: true,
            unknown: false,
        };
        let some = |sidecars| Some(Count { complete: false, ..all(sidecars) });
        let said = |seen, before: &[Condition]| in_use(&seen, before).map(|said| (said.truth.as_str(), said.reason));
        let before = |seen: Seen| crate::condition::settle(&[in_use(&seen, &[]).unwrap()], &[], 1, "t");
        let unused = before(seen(&[], Some(all(0))));
        assert_eq!(said(seen(&["default"], Some(all(0))), &[]).unwrap().0, "True");
        assert_eq!(said(seen(&[], Some(all(1))), &[]).unwrap().0, "True");
        assert_eq!(said(seen(&[], Some(all(0))), &[]).unwrap().0, "False");
        assert_eq!(said(seen(&[], some(1)), &unused).unwrap().1, "Connected", "whoever answers is enough");
        assert_eq!(said(seen(&[], some(0)), &unused).unwrap().0, "Unknown", "it is not surely unused any more");
        assert_eq!(said(seen(&[], Some(Count { unknown: true, ..all(0) })), &unused).unwrap().0, "Unknown");
        assert_eq!(said(seen(&[], None), &[]).unwrap().0, "Unknown");
        assert_eq!(said(seen(&[], None), &unused), None, "it stays");
        assert_eq!(said(seen(&[], None), &before(seen(&["default"], None))).unwrap().0, "Unknown");
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
