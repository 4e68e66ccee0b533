//! What an installation's status says: what its revision's says, and what stands in the way of all. No client.

use super::{apply::Applied, dereference::Seen, found, validate::Installation};
use crate::{
    apply::Live,
    condition::{Truth, Verdict},
    controller::Outcome,
    definitions, names, proxies, status,
};
use k8s_openapi::jiff::Timestamp;
use tombolo_api::mesh::{
    Condition, MeshInstallationStatus, MeshRevisionStatus, MeshRevisionTagStatus, ProxyCounts, RevisionStatus,
};

/// What is known besides.
pub(super) struct Told<'a> {
    /// The status as it is.
    pub(super) before: &'a MeshInstallationStatus,
    pub(super) definitions: &'a definitions::State,
    pub(super) proxies: &'a proxies::Counts,
    pub(super) now: Timestamp,
}

pub(super) fn outcome(
    installation: &Installation,
    applied: &Applied,
    seen: &Seen,
    told: &Told<'_>,
) -> Outcome<MeshInstallationStatus> {
    let revision: MeshRevisionStatus = status::of(&applied.revision.object);
    let tag: MeshRevisionTagStatus = status::of(&applied.tag.object);
    let current = is_current(&applied.revision, revision.observed_generation);
    let mut verdicts = of_revision(&revision.conditions, current);
    if let Some(ready) = verdicts.first_mut().filter(|ready| ready.truth == Truth::True)
        && let Some(wrong) = of_tag(&tag, is_current(&applied.tag, tag.observed_generation))
    {
        *ready = wrong;
    }
    let (found, again) = found::verdicts(&revision.conditions, current, &told.before.conditions, told.now);
    verdicts.extend(found);
    verdicts.extend(definitions::verdict(told.definitions));
    verdicts.push(seen.class.as_ref().and_then(of_class).unwrap_or_else(|| seen.gateway_api.verdict()));
    verdicts.push(of_settings(&installation.warnings));
    let row = RevisionStatus {
        name: installation.name.clone(),
        version: revision.serving_version,
        ready: revision.ready_replicas > 0,
        proxies: connected(&installation.name, told),
    };
    let active_revision = tag.revision;
    let status = MeshInstallationStatus { active_revision, revisions: vec![row], ..MeshInstallationStatus::default() };
    Outcome { status, verdicts, again }
}

/// How many proxies are connected to a revision: as all of its replicas said last, maybe to another replica of the operator.
fn connected(revision: &str, told: &Told<'_>) -> Option<ProxyCounts> {
    let before = told.before.revisions.iter().find(|row| row.name == revision).and_then(|row| row.proxies);
    let counted = told.proxies.get(revision).filter(|count| count.complete);
    counted.map(|count| count.proxies).or(before)
}

/// True where a status is about the spec as it is.
fn is_current(live: &Live, observed: i64) -> bool {
    live.object.metadata.generation.unwrap_or_default() == observed
}

/// What a revision says of itself, once it is about what was asked for.
fn of_revision(conditions: &[Condition], current: bool) -> Vec<Verdict> {
    let said = |about: &'static str, otherwise: bool| {
        let condition = conditions.iter().find(|condition| current && condition.r#type == about);
        let Some(condition) = condition else {
            return Verdict::new(about, otherwise, "Applied", "the control plane is being made");
        };
        let truth = Truth::from(condition.status == "True");
        let verdict = Verdict::new(about, truth, &condition.reason, &condition.message);
        if about == "Degraded" && truth == Truth::True { verdict.alarming() } else { verdict }
    };
    vec![said("Ready", false), said("Progressing", true), said("Degraded", false)]
}

/// What is wrong with the GatewayClass of our name. One of somebody's own serves as well, if it is to be served by us.
fn of_class(class: &Live) -> Option<Verdict> {
    let controller = class.object.data.pointer("/spec/controllerName")?.as_str()?;
    (controller != names::GATEWAY_CONTROLLER).then(|| {
        let (name, ours) = (names::GATEWAY_CLASS, names::GATEWAY_CONTROLLER);
        let message = format!(
            "GatewayClass {name} is of {controller} and left alone: delete it, or make another whose controllerName is {ours}"
        );
        Verdict::new("GatewayAPI", false, "ForeignObject", message)
    })
}

/// What is said of settings that are taken and change nothing, or not all that they seem to.
fn of_settings(warnings: &[String]) -> Verdict {
    if warnings.is_empty() {
        return Verdict::new("SettingsInEffect", true, "InEffect", "all that is set has its effect");
    }
    Verdict::new("SettingsInEffect", false, "Warnings", warnings.join("\n"))
}

/// What keeps proxies from finding a control plane that serves.
fn of_tag(tag: &MeshRevisionTagStatus, current: bool) -> Option<Verdict> {
    let ready = tag.conditions.iter().find(|condition| condition.r#type == "Ready" && current);
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(Verdict::new("Ready", false, &ready.reason, &ready.message)),
        None => Some(Verdict::new("Ready", false, "Applied", "the tag's Service is being made")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::found::tests::condition;

    #[test]
    fn a_revision_speaks_for_the_installation_once_it_has_seen_the_spec() {
        let conditions = [condition("Ready", "True", "Serving"), condition("Degraded", "False", "Healthy")];
        let of = |current| {
            of_revision(&conditions, current).into_iter().map(|v| (v.truth.as_str(), v.reason)).collect::<Vec<_>>()
        };
        assert_eq!(of(true)[0], ("True", "Serving".to_owned()));
        assert_eq!(of(false)[0], ("False", "Applied".to_owned()));
        assert_eq!(of(false)[1], ("True", "Applied".to_owned()), "it progresses");
    }

    #[test]
    fn what_hangs_is_said_of_the_installation() {
        let conditions =
            [condition("Ready", "False", "ImagePullBackOff"), condition("Degraded", "True", "ImagePullBackOff")];
        let said = of_revision(&conditions, true);
        assert_eq!((said[2].truth, &*said[2].reason, said[2].alarming), (Truth::True, "ImagePullBackOff", true));
    }

    #[test]
    fn what_a_control_plane_found_makes_nothing_less_ready() {
        let conditions = [
            condition("Ready", "True", "Serving"),
            condition("Progressing", "False", "Complete"),
            condition("Degraded", "False", "Healthy"),
            condition("CertificateAuthorityReady", "False", "InvalidSecret"),
        ];
        let of_it: Vec<_> = of_revision(&conditions, true).into_iter().map(|v| v.truth).collect();
        assert_eq!(of_it, [Truth::True, Truth::False, Truth::False]);
    }

    #[test]
    fn somebodys_own_gateway_class_serves_if_it_is_to_be_served_by_us() {
        let class = |controller: &str| {
            let object = serde_json::json!({"metadata": {"name": "tombolo"}, "spec": {"controllerName": controller}});
            of_class(&Live { kind: crate::kinds::GATEWAY_CLASS, object: serde_json::from_value(object).unwrap() })
        };
        assert_eq!(class(names::GATEWAY_CONTROLLER), None);
        let said = class("example.com/other").unwrap();
        assert_eq!((said.truth, &*said.reason), (Truth::False, "ForeignObject"));
        assert!(said.message.contains("example.com/other"), "{}", said.message);
    }

    #[test]
    fn proxies_are_as_they_were_counted_last() {
        let count = |gateways| ProxyCounts { gateways, ..ProxyCounts::default() };
        let row = |proxies| RevisionStatus { name: "a".to_owned(), proxies, ..RevisionStatus::default() };
        let definitions = definitions::State::default();
        let told = |before, now: Option<proxies::Count>| {
            let before = MeshInstallationStatus { revisions: vec![row(before)], ..MeshInstallationStatus::default() };
            let proxies = now.map(|now| ("a".to_owned(), now)).into_iter().collect();
            connected("a", &Told { before: &before, definitions: &definitions, proxies: &proxies, now: Timestamp::MIN })
        };
        assert_eq!(told(None, None), None);
        assert_eq!(told(Some(count(1)), None), Some(count(1)));
        let all = proxies::Count { proxies: count(0), complete: true, unknown: true };
        assert_eq!(told(Some(count(1)), Some(all)), Some(count(0)));
        let some = proxies::Count { proxies: count(2), complete: false, unknown: false };
        assert_eq!(told(Some(count(3)), Some(some)), Some(count(3)), "it is not known how many the others have");
    }

    #[test]
    fn warnings_are_told() {
        assert_eq!(of_settings(&[]).truth, Truth::True);
        let said = of_settings(&["spec.mesh.meshId: no".to_owned(), "spec.mesh.tracing: no".to_owned()]);
        assert_eq!((said.truth, &*said.message), (Truth::False, "spec.mesh.meshId: no\nspec.mesh.tracing: no"));
    }

    #[test]
    fn without_its_tags_service_nothing_is_ready() {
        let mut tag = MeshRevisionTagStatus::default();
        assert!(of_tag(&tag, true).is_some());
        tag.conditions = vec![condition("Ready", "True", "Serving")];
        assert_eq!(of_tag(&tag, true), None);
        assert!(of_tag(&tag, false).is_some());
    }
}
