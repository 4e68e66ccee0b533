//! What an installation's status says of what its control plane found. No client.

use crate::condition::{Truth, Verdict};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tombolo_api::mesh::{Condition, FOUND_BY_CONTROL_PLANE};

/// A control plane that has just begun to serve has not said all that it finds before so long.
const SETTLED: Duration = Duration::from_secs(60);

/// What a revision's control plane found, and when to look again at what it may be about to say. It serves meanwhile, so that nothing of
/// it makes a mesh less ready: where an intermediate is of no use, what signed before signs on.
///
/// `conditions`: the revision's, and whether they are about what was asked for. `before`: the installation's.
pub(super) fn verdicts(
    conditions: &[Condition],
    current: bool,
    before: &[Condition],
    now: Timestamp,
) -> (Vec<Verdict>, Option<Duration>) {
    // What is not said now stays as it was until the control plane must have said it.
    if !current {
        return (Vec::new(), None);
    }
    let mut verdicts: Vec<_> = FOUND_BY_CONTROL_PLANE.into_iter().filter_map(|about| said(conditions, about)).collect();
    let settling = settling(conditions, now);
    if settling == Some(Duration::ZERO) {
        verdicts.extend(taken_back(conditions, before));
    }
    (verdicts, settling.filter(|settling| !settling.is_zero()))
}

fn find<'a>(conditions: &'a [Condition], about: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.r#type == about)
}

fn said(conditions: &[Condition], about: &'static str) -> Option<Verdict> {
    let condition = find(conditions, about)?;
    let truth = Truth::from(condition.status == "True");
    let verdict = Verdict::new(about, truth, &condition.reason, &condition.message);
    Some(if truth == Truth::False { verdict.alarming() } else { verdict })
}

/// How long a control plane still may be about to say something: not at all once it has served for a while. `None` while it is being
/// made or updated, as that ends first.
fn settling(conditions: &[Condition], now: Timestamp) -> Option<Duration> {
    let since = |about: &str, status: &str| {
        let condition = find(conditions, about).filter(|condition| condition.status == status)?;
        condition.last_transition_time.parse::<Timestamp>().ok()
    };
    let served = now.duration_since(since("Ready", "True")?.max(since("Progressing", "False")?));
    Some(SETTLED.saturating_sub(served.try_into().unwrap_or_default()))
}

/// What is said of the installation, and of the revision no more: nobody keeps it current.
fn taken_back<'a>(conditions: &'a [Condition], before: &'a [Condition]) -> impl Iterator<Item = Verdict> + use<'a> {
    let message = "its control plane does not say any more whether it is so: a replica of another revision may be the one that writes, \
                   which the Lease tombolo-writer tells";
    let is_left = |about: &&str| find(conditions, about).is_none() && find(before, about).is_some();
    let left = FOUND_BY_CONTROL_PLANE.into_iter().filter(is_left);
    left.map(move |about| Verdict::new(about, Truth::Unknown, "NotCurrent", message))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn condition(about: &str, status: &str, reason: &str) -> Condition {
        Condition {
            r#type: about.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            last_transition_time: "2026-01-01T10:00:00Z".to_owned(),
            observed_generation: 1,
        }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    /// What is said at some time, and in how many seconds to look again.
    type Said = (Vec<(&'static str, &'static str, String, bool)>, Option<u64>);

    fn told(conditions: &[Condition], current: bool, before: &[Condition], time: &str) -> Said {
        let (verdicts, again) = verdicts(conditions, current, before, at(time));
        let verdicts = verdicts.into_iter().map(|v| (v.about, v.truth.as_str(), v.reason, v.alarming));
        (verdicts.collect(), again.map(|again| again.as_secs()))
    }

    #[test]
    fn what_a_control_plane_found_is_told_once_it_is_about_what_was_asked_for() {
        let conditions = [
            condition("Ready", "True", "Serving"),
            condition("Progressing", "False", "Complete"),
            condition("CertificateAuthorityReady", "False", "InvalidSecret"),
            condition("TrustDomainInEffect", "True", "InEffect"),
            condition("InUse", "True", "Tagged"),
        ];
        let expected = vec![
            ("CertificateAuthorityReady", "False", "InvalidSecret".to_owned(), true),
            ("TrustDomainInEffect", "True", "InEffect".to_owned(), false),
        ];
        assert_eq!(told(&conditions, true, &[], "12:00:00"), (expected, None));
        assert_eq!(
            told(&conditions, false, &conditions, "12:00:00"),
            (Vec::new(), None),
            "it was not said of this spec"
        );
    }

    #[test]
    fn what_it_took_back_is_not_current_once_it_has_served_for_a_while() {
        let before =
            [condition("TrustDomainInEffect", "True", "A"), condition("CertificateAuthorityReady", "True", "A")];
        let told = |ready: &str, progressing: &str, time: &str| {
            let of_health = [condition("Ready", ready, "A"), condition("Progressing", progressing, "A")];
            let conditions = [&of_health[..], &before[1..]].concat();
            let (mut said, again) = told(&conditions, true, &before, time);
            assert_eq!(said.remove(0).1, "True", "what is said is told");
            (said, again)
        };
        let not_current = vec![("TrustDomainInEffect", "Unknown", "NotCurrent".to_owned(), false)];
        assert_eq!(told("True", "False", "10:00:20"), (Vec::new(), Some(40)), "it may be about to say it");
        assert_eq!(told("True", "False", "09:59:00"), (Vec::new(), Some(60)), "another clock is ahead");
        assert_eq!(told("True", "False", "10:01:00"), (not_current, None), "nor what never was said");
        assert_eq!(told("False", "True", "12:00:00"), (Vec::new(), None), "it is being updated");
        assert_eq!(told("True", "True", "12:00:00"), (Vec::new(), None), "a replica is being made");
    }
}
