//! What a tag's status says. No client.

use super::{admission::Admission, validate::Tag};
use crate::{condition::Verdict, controller::Outcome, names};
use tombolo_api::mesh::MeshRevisionTagStatus;

pub(super) fn outcome(tag: &Tag, admission: Admission) -> Outcome<MeshRevisionTagStatus> {
    let status = MeshRevisionTagStatus {
        revision: tag.revision.clone(),
        address: format!("{}.{}.svc", names::of_tag(&tag.name), tag.namespace),
        ..MeshRevisionTagStatus::default()
    };
    let message = format!("{} leads to revision {}", status.address, tag.revision);
    let serves = tag.ready_replicas > 0;
    let mut verdicts = if serves {
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
    verdicts.extend(admission.verdict);
    Outcome { status, verdicts, again: Some(admission.again) }
}

#[cfg(test)]
mod tests {
    use super::{super::validate::tests::tag, *};
    use serde_json::json;
    use std::time::Duration;

    fn admission(verdict: Option<Verdict>) -> Admission {
        Admission { verdict, again: Duration::from_secs(1) }
    }

    #[test]
    fn a_tag_is_ready_where_something_serves() {
        let ready = |replicas| {
            let tag = tag(&json!([{"revision": "a", "weight": 100}]), replicas).unwrap();
            let outcome = outcome(&tag, admission(None));
            (outcome.verdicts[0].truth.as_str(), outcome.status.address)
        };
        assert_eq!(ready(1), ("True", "tombolo-discovery.mesh.svc".to_owned()));
        assert_eq!(ready(0).0, "False");
    }

    #[test]
    fn a_tag_leads_on_where_its_webhook_cannot_be_made() {
        let tag = tag(&json!([{"revision": "a", "weight": 100}]), 1).unwrap();
        let failed = Verdict::new("Admission", false, "MissingPermission", "");
        let outcome = outcome(&tag, admission(Some(failed.clone())));
        let truth = |about: &str| outcome.verdicts.iter().find(|one| one.about == about).map(|one| one.truth.as_str());
        assert_eq!(
            (truth("Ready"), truth("Degraded"), truth("Admission")),
            (Some("True"), Some("False"), Some("False"))
        );
        assert_eq!(outcome.again, Some(Duration::from_secs(1)));
    }
}
