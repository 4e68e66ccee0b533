//! Merging conditions: ours are replaced, others' stay, and a condition that holds as before keeps its time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use serde_json::Value;

/// A condition in one of its forms: `metav1.Condition`, or JSON of that shape, as Istio's kinds have it without its rules.
pub trait Condition: Clone + PartialEq {
    /// Its `type`: one condition for each.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// Takes `lastTransitionTime` from another one.
    fn keep_time_of(&mut self, other: &Self);
}

impl Condition for v1::Condition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn keep_time_of(&mut self, other: &Self) {
        self.last_transition_time = other.last_transition_time.clone();
    }
}

impl Condition for Value {
    fn kind(&self) -> &str {
        self["type"].as_str().unwrap_or_default()
    }

    fn status(&self) -> &str {
        self["status"].as_str().unwrap_or_default()
    }

    fn keep_time_of(&mut self, other: &Self) {
        if let (Some(ours), Some(time)) = (self.as_object_mut(), other.get("lastTransitionTime")) {
            ours.insert("lastTransitionTime".to_owned(), time.clone());
        }
    }
}

/// The conditions that should be there, given those that were `seen` and `ours`. `also` names types that are ours as well,
/// though they do not hold a place now: such a condition is removed. All others stay as they are, in their order.
pub fn merge<C: Condition>(seen: &[C], ours: &[C], also: &[&str]) -> Vec<C> {
    let mut left: Vec<&C> = ours.iter().collect();
    let is_ours = |kind: &str| also.contains(&kind) || ours.iter().any(|condition| condition.kind() == kind);
    let mut merged = Vec::with_capacity(seen.len() + ours.len());
    for old in seen {
        if !is_ours(old.kind()) {
            merged.push(old.clone());
        } else if let Some(at) = left.iter().position(|new| new.kind() == old.kind()) {
            let mut new = left.remove(at).clone();
            if new.status() == old.status() {
                new.keep_time_of(old);
            }
            merged.push(new);
        }
    }
    merged.extend(left.into_iter().cloned());
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn condition(kind: &str, status: &str, time: &str) -> Value {
        json!({"type": kind, "status": status, "lastTransitionTime": time})
    }

    #[test]
    fn ours_are_replaced_in_place_and_others_stay() {
        let seen = [
            condition("Foreign", "True", "1"),
            condition("Ready", "False", "2"),
            condition("Stale", "True", "3"),
            condition("Accepted", "True", "4"),
        ];
        let ours = [condition("Accepted", "True", "9"), condition("Ready", "True", "9"), condition("New", "True", "9")];
        let expected = [
            condition("Foreign", "True", "1"),
            condition("Ready", "True", "9"),    // changed: its time is new
            condition("Accepted", "True", "4"), // as before: its time is kept
            condition("New", "True", "9"),
        ];
        assert_eq!(merge(&seen, &ours, &["Stale"]), expected);
        assert_eq!(merge(&expected, &ours, &["Stale"]), expected);
    }

    #[test]
    fn one_of_two_of_a_type_is_left() {
        let seen = [condition("Ready", "True", "1"), condition("Ready", "False", "2")];
        assert_eq!(merge(&seen, &[condition("Ready", "True", "9")], &[]), [condition("Ready", "True", "1")]);
    }

    #[test]
    fn typed_conditions_merge_alike() {
        let typed = |status: &str, reason: &str, second: i64| v1::Condition {
            last_transition_time: v1::Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap()),
            message: String::new(),
            observed_generation: Some(second),
            reason: reason.into(),
            status: status.into(),
            type_: "Ready".into(),
        };
        let merged = merge(&[typed("True", "Old", 1)], &[typed("True", "New", 2)], &[]);
        assert_eq!((&*merged[0].reason, merged[0].last_transition_time.0.as_second()), ("New", 1));
        let merged = merge(&[typed("False", "Old", 1)], &[typed("True", "New", 2)], &[]);
        assert_eq!(merged[0].last_transition_time.0.as_second(), 2);
    }
}
