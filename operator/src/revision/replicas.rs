//! How many replicas the operator asks for, and when it asks for none in particular. No client.
//!
//! With autoscaling the count is the autoscaler's. Switching it on or off leaves the count as it is, where the settings name no
//! other: an owner who stops stating a field removes it, and a Deployment without a count has one replica. So the count is given
//! to a field manager of its own first, and taken over as it is afterwards.

use super::validate::Revision;
use crate::{
    apply::Live,
    names::{MANAGER, REPLICAS},
};
use serde_json::Value;

/// Replicas where nobody says how many.
const DEFAULT: u32 = 2;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// `spec.replicas`; `None` leaves it to the autoscaler.
    pub(super) count: Option<u32>,
    /// What the Deployment is to remember: that its count is an autoscaler's, or the count that was taken over from one.
    pub(super) note: Option<String>,
}

/// The note at a Deployment whose count is an autoscaler's.
const AUTOSCALED: &str = "autoscaled";

/// What is asked for, given the Deployment as it is.
pub(super) fn wanted(revision: &Revision, live: Option<&Live>) -> Replicas {
    let discovery = &revision.settings.discovery;
    if let Some(scaling) = &discovery.autoscaling {
        let first = live.is_none().then_some(scaling.min_replicas);
        return Replicas { count: first, note: Some(AUTOSCALED.to_owned()) };
    }
    let kept = match live.and_then(noted) {
        Some(AUTOSCALED) => live.and_then(count),
        Some(kept) => kept.parse().ok(),
        None => None,
    };
    let kept = kept.filter(|_| discovery.replicas.is_none());
    let count = discovery.replicas.or(kept).unwrap_or(DEFAULT);
    Replicas { count: Some(count), note: kept.map(|kept| kept.to_string()) }
}

/// The count that must be given away before it is no longer stated.
pub(super) fn to_hand_over(wanted: Option<u32>, live: Option<&Live>) -> Option<u32> {
    let live = live.filter(|live| wanted.is_none() && is_ours(live))?;
    count(live)
}

/// What the Deployment remembers.
fn noted(live: &Live) -> Option<&str> {
    live.object.metadata.annotations.as_ref()?.get(REPLICAS).map(String::as_str)
}

fn count(live: &Live) -> Option<u32> {
    live.object.data.get("spec")?.get("replicas")?.as_u64()?.try_into().ok()
}

/// True where the operator states the count.
fn is_ours(live: &Live) -> bool {
    let managers = live.object.metadata.managed_fields.iter().flatten();
    managers.filter(|entry| entry.manager.as_deref() == Some(MANAGER) && entry.subresource.is_none()).any(|entry| {
        let fields = entry.fields_v1.as_ref().map_or(&Value::Null, |fields| &fields.0);
        fields.pointer("/f:spec/f:replicas").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::{super::validate::tests::revision, *};
    use crate::kinds;
    use serde_json::json;

    fn live(count: u32, stated_by: &str, note: Option<&str>) -> Live {
        let object = json!({
            "metadata": {
                "name": "d",
                "annotations": note.map(|note| json!({REPLICAS: note})),
                "managedFields": [{"manager": stated_by, "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
            },
            "spec": {"replicas": count},
        });
        Live { kind: kinds::DEPLOYMENT, object: serde_json::from_value(object).unwrap() }
    }

    fn asked(discovery: &Value, live: Option<&Live>) -> (Option<u32>, Option<String>) {
        let wanted = wanted(&revision(&json!({"discovery": discovery})).unwrap(), live);
        (wanted.count, wanted.note)
    }

    fn noted(note: &str) -> Option<String> {
        Some(note.to_owned())
    }

    #[test]
    fn switching_autoscaling_never_changes_the_count() {
        let scaled = json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 9}});
        assert_eq!(asked(&scaled, None), (Some(3), noted(AUTOSCALED)), "it begins with the fewest");
        let ours = live(2, MANAGER, None);
        assert_eq!(asked(&scaled, Some(&ours)), (None, noted(AUTOSCALED)), "on: the count is nobody's any more, …");
        assert_eq!(to_hand_over(None, Some(&ours)), Some(2), "… and stays, as another states it first");
        let theirs = live(5, "kube-controller-manager", Some(AUTOSCALED));
        assert_eq!(to_hand_over(None, Some(&theirs)), None, "once is enough");
        assert_eq!(asked(&json!({}), Some(&theirs)), (Some(5), noted("5")), "off: it is taken over as it is");
        assert_eq!(asked(&json!({}), Some(&live(5, MANAGER, Some("5")))), (Some(5), noted("5")), "and kept");
        assert_eq!(asked(&json!({}), Some(&live(1, "kubectl", Some("5")))).0, Some(5), "a change is put back");
    }

    #[test]
    fn without_autoscaling_the_settings_say() {
        assert_eq!(asked(&json!({}), None), (Some(2), None));
        assert_eq!(asked(&json!({}), Some(&live(7, "kubectl", None))), (Some(2), None), "a change is put back");
        assert_eq!(asked(&json!({"replicas": 4}), Some(&live(7, "hpa", Some("5")))), (Some(4), None));
        assert_eq!(to_hand_over(Some(4), Some(&live(7, MANAGER, None))), None);
    }
}
