//! What a tag's status says. No client.

use super::validate::Tag;
use crate::{condition::Verdict, controller::Outcome, names};
use tombolo_api::mesh::MeshRevisionTagStatus;

pub(super) fn outcome(tag: &Tag) -> Outcome<MeshRevisionTagStatus> {
    let status = MeshRevisionTagStatus {
        revision: tag.revision.clone(),
        address: format!("{}.{}.svc", names::of_tag(&tag.name), tag.namespace),
        ..MeshRevisionTagStatus::default()
    };
    let message = format!("{} leads to revision {}", status.address, tag.revision);
    let serves = tag.ready_replicas > 0;
    let verdicts = if serves {
        vec![
            Verdict::new("Ready", true, "Serving", &message),
            Verdict::new("Progressing", false, "Complete", message),
            Verdict::new("Degraded", false, "Healthy", ""),
        ]
    } else {
        let message = format!("{message}, of which nothing serves yet");
        vec![
            Verdict::new("Ready", false, "RevisionNotReady", &message),
            Verdict::new("Progressing", true, "RevisionNotReady", message),
            Verdict::new("Degraded", false, "Healthy", ""),
        ]
    };
    Outcome { status, verdicts, again: None }
}

#[cfg(test)]
mod tests {
    use super::{super::validate::tests::tag, *};
    use serde_json::json;

    #[test]
    fn a_tag_is_ready_where_something_serves() {
        let ready = |replicas| {
            let outcome = outcome(&tag(&json!([{"revision": "a", "weight": 100}]), replicas).unwrap());
            (outcome.verdicts[0].truth.as_str(), outcome.status.address)
        };
        assert_eq!(ready(1), ("True", "tombolo-discovery.mesh.svc".to_owned()));
        assert_eq!(ready(0).0, "False");
    }
}
