//! Writing status: what is ours of it, and only where it is different.

use crate::{
    condition::{self, Verdict},
    context::Context,
    failure::Failure,
    kinds::Kind,
    names::MANAGER,
};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tombolo_api::mesh::{Condition, MeshInstallationStatus, MeshRevisionStatus, MeshRevisionTagStatus};

/// The status of a kind of ours.
pub(crate) trait Status: Serialize + DeserializeOwned + Default + PartialEq + Clone + Send {
    fn conditions(&mut self) -> &mut Vec<Condition>;
    fn observe(&mut self, generation: i64);
}

macro_rules! statuses {
    ($($status:ty),*) => {$(
        impl Status for $status {
            fn conditions(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }

            fn observe(&mut self, generation: i64) {
                self.observed_generation = generation;
            }
        }
    )*};
}

statuses!(MeshInstallationStatus, MeshRevisionStatus, MeshRevisionTagStatus);

/// The status that an object has; the default where it has none that can be read.
pub(crate) fn of<S: Status>(object: &DynamicObject) -> S {
    object.data.get("status").and_then(|status| S::deserialize(status).ok()).unwrap_or_default()
}

/// Writes a status and tells people what is new in it, if anything is.
///
/// `ours`: the types of the conditions that are written here. What is not said now of one of them stays as it was; those of
/// others are not touched.
pub(crate) async fn write<S: Status>(
    context: &Context,
    kind: Kind,
    object: &DynamicObject,
    status: S,
    verdicts: &[Verdict],
    ours: &[&str],
) -> Result<(), Failure> {
    // Of a type that is not ours nothing would be known the next time: all would be news for ever.
    debug_assert!(verdicts.iter().all(|verdict| ours.contains(&verdict.about)), "{verdicts:?} are not all of {ours:?}");
    let mut before: S = part(object, ours);
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let after = merged(status, &mut before, verdicts, object.metadata.generation.unwrap_or_default(), &now);
    if after == before {
        return Ok(());
    }
    let name = object.name_any();
    let body = json!({
        "apiVersion": kind.api_version(), "kind": kind.name, "metadata": {"name": name, "uid": object.uid()}, "status": after,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let written = kind.objects(&context.client, "").patch_status(&name, &parameters, &Patch::Apply(body)).await;
    written.map_err(|error| Failure::of_call(&format!("write the status of {} {name}", kind.name), &error))?;
    for verdict in condition::news(verdicts, before.conditions()) {
        tell(context, kind, object, verdict).await;
    }
    Ok(())
}

/// The status that an object has, without the conditions of others.
fn part<S: Status>(object: &DynamicObject, ours: &[&str]) -> S {
    let mut status: S = of(object);
    status.conditions().retain(|condition| ours.contains(&&*condition.r#type));
    status
}

/// A status with its conditions, in the order of their types.
fn merged<S: Status>(mut status: S, before: &mut S, verdicts: &[Verdict], generation: i64, now: &str) -> S {
    let mut conditions = condition::settle(verdicts, before.conditions(), generation, now);
    let unsaid = before.conditions().iter().filter(|old| verdicts.iter().all(|verdict| verdict.about != old.r#type));
    conditions.extend(unsaid.cloned());
    conditions.sort_by(|a, b| a.r#type.cmp(&b.r#type));
    before.conditions().sort_by(|a, b| a.r#type.cmp(&b.r#type));
    *status.conditions() = conditions;
    status.observe(generation);
    status
}

/// An Event cannot be longer.
const LONGEST_NOTE: usize = 1024;

/// Events are for people who look on: that one is lost stops nothing.
async fn tell(context: &Context, kind: Kind, object: &DynamicObject, verdict: &Verdict) {
    let mut note = format!("{}={}: {}", verdict.about, verdict.truth.as_str(), verdict.message);
    note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    let event = Event {
        type_: if verdict.alarming { EventType::Warning } else { EventType::Normal },
        reason: verdict.reason.clone(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    context.metrics.told(kind, &verdict.reason);
    if let Err(error) = context.recorder.publish(&event, &object.object_ref(&kind.resource())).await {
        tracing::warn!(kind = kind.name, reason = verdict.reason, "cannot write an Event: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_api::mesh::MeshRevisionStatus as Status;

    #[test]
    fn what_is_not_said_stays() {
        let said = |about| Verdict::new(about, true, "A", "");
        let mut before = Status::default();
        let mut first = merged(Status::default(), &mut before, &[said("Ready"), said("InUse")], 1, "t1");
        let second = merged(first.clone(), &mut first, &[said("Ready")], 1, "t2");
        assert_eq!(second, first, "nothing is new, so that nothing is written");
        assert_eq!(second.conditions.iter().map(|c| &*c.r#type).collect::<Vec<_>>(), ["InUse", "Ready"]);
    }

    #[test]
    fn what_others_say_is_neither_written_nor_a_reason_to_write() {
        let condition = |about: &str| json!({"type": about, "status": "True", "reason": "A", "message": "", "lastTransitionTime": "t"});
        let status = json!({"conditions": [condition("CertificateAuthorityReady"), condition("Ready")]});
        let object: DynamicObject =
            serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap();
        let mut before: Status = part(&object, &["Ready"]);
        let after = merged(before.clone(), &mut before, &[Verdict::new("Ready", true, "A", "")], 0, "t2");
        assert_eq!(after, before);
        assert_eq!(after.conditions.iter().map(|c| &*c.r#type).collect::<Vec<_>>(), ["Ready"]);
    }
}
