//! How many replicas there are, and how many may be away.

use super::{metadata, selector};
use crate::{apply::Wanted, kinds, revision::validate::Revision};
use serde_json::json;
use tombolo_api::mesh::Autoscaling;

pub(super) fn objects(revision: &Revision) -> Vec<Wanted> {
    let scaling = revision.settings.discovery.autoscaling.as_ref();
    std::iter::once(budget(revision)).chain(scaling.map(|scaling| autoscaler(revision, scaling))).collect()
}

/// One at a time: a single replica does not keep a node from being emptied.
fn budget(revision: &Revision) -> Wanted {
    let body = json!({
        "metadata": metadata(revision, kinds::DISRUPTION_BUDGET, &revision.objects()),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(revision)}},
    });
    Wanted::new(kinds::DISRUPTION_BUDGET, body)
}

fn autoscaler(revision: &Revision, scaling: &Autoscaling) -> Wanted {
    let target = json!({"type": "Utilization", "averageUtilization": scaling.target_cpu_percent});
    let body = json!({
        "metadata": metadata(revision, kinds::AUTOSCALER, &revision.objects()),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision.objects()},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    });
    Wanted::new(kinds::AUTOSCALER, body)
}
