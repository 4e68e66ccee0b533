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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// `spec.replicas`; `None` leaves it to the autoscaler.
    pub(super) count: Option<u32>,
    /// True where the count was taken over from an autoscaler: it is remembered at the Deployment.
    pub(super) kept: bool,
}

/// What is asked for, given the Deployment as it is.
pub(super) fn wanted(revision: &Revision, live: Option<&Live>) -> Replicas {
    let discovery = &revision.settings.discovery;
    let asked = |count| Replicas { count, kept: false };
    match (&discovery.autoscaling, discovery.replicas, live) {
        (Some(scaling), _, None) => asked(Some(scaling.min_replicas)),
        (Some(_), _, Some(_)) => asked(None),
        (None, Some(count), _) => asked(Some(count)),
        (None, None, None) => asked(Some(DEFAULT)),
        (None, None, Some(live)) => match kept(live).or_else(|| count(live).filter(|_| !is_ours(live))) {
            Some(count) => Replicas { count: Some(count), kept: true },
            None => asked(Some(DEFAULT)),
        },
    }
}

/// The count that must be given away before it is no longer stated.
pub(super) fn to_hand_over(wanted: Option<u32>, live: Option<&Live>) -> Option<u32> {
    let live = live.filter(|live| wanted.is_none() && is_ours(live))?;
    count(live)
}

/// The count that was taken over when autoscaling was switched off.
fn kept(live: &Live) -> Option<u32> {
    live.object.metadata.annotations.as_ref()?.get(REPLICAS)?.parse().ok()
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

    fn live(count: u32, stated_by: &str, kept: Option<&str>) -> Live {
        let object = json!({
            "metadata": {
                "name": "d",
                "annotations": kept.map(|kept| json!({REPLICAS: kept})),
                "managedFields": [{"manager": stated_by, "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
            },
            "spec": {"replicas": count},
        });
        Live { kind: kinds::DEPLOYMENT, object: serde_json::from_value(object).unwrap() }
    }

    fn asked(discovery: &Value, live: Option<&Live>) -> (Option<u32>, bool) {
        let wanted = wanted(&revision(&json!({"discovery": discovery})).unwrap(), live);
        (wanted.count, wanted.kept)
    }

    #[test]
    fn switching_autoscaling_never_changes_the_count() {
        let scaled = json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 9}});
        assert_eq!(asked(&scaled, None), (Some(3), false), "it begins with the fewest");
        let ours = live(2, MANAGER, None);
        assert_eq!(asked(&scaled, Some(&ours)), (None, false), "on: the count is nobody's any more, …");
        assert_eq!(to_hand_over(None, Some(&ours)), Some(2), "… and stays, as another states it first");
        let theirs = live(5, "kube-controller-manager", None);
        assert_eq!(to_hand_over(None, Some(&theirs)), None, "once is enough");
        assert_eq!(asked(&json!({}), Some(&theirs)), (Some(5), true), "off: it is taken over as it is");
        assert_eq!(asked(&json!({}), Some(&live(5, MANAGER, Some("5")))), (Some(5), true), "and kept");
        assert_eq!(asked(&json!({}), Some(&live(1, MANAGER, Some("5")))), (Some(5), true), "a change is put back");
    }

    #[test]
    fn without_autoscaling_the_settings_say() {
        assert_eq!(asked(&json!({}), None), (Some(2), false));
        assert_eq!(asked(&json!({}), Some(&live(7, MANAGER, None))), (Some(2), false));
        assert_eq!(asked(&json!({"replicas": 4}), Some(&live(7, "hpa", Some("5")))), (Some(4), false));
        assert_eq!(to_hand_over(Some(4), Some(&live(7, MANAGER, None))), None);
    }
}
