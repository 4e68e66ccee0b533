//! What a MeshRevisionTag says, checked. No client.

use super::dereference::Seen;
use crate::{apply::Live, failure::Failure, kinds, names, status};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;
use tombolo_api::mesh::{MeshRevisionStatus, MeshRevisionTag};

/// A tag that leads somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The revision of the greatest weight.
    pub(crate) revision: String,
    /// Where it is.
    pub(crate) namespace: String,
    /// How many of its replicas serve.
    pub(crate) ready_replicas: u32,
}

/// Reads the spec, and checks what its schema checks: a definition may be another's.
pub(super) fn read(object: &DynamicObject) -> Result<MeshRevisionTag, Failure> {
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let spec: MeshRevisionTag = serde_json::from_value(spec).map_err(|error| {
        Failure::of_user("InvalidTargets", format!("spec: {error}: name revisions and their weights"))
    })?;
    let sum: u64 = spec.targets.iter().map(|target| u64::from(target.weight)).sum();
    if sum != 100 {
        let message = format!("spec.targets: the weights are {sum} together: let them be 100");
        return Err(Failure::of_user("InvalidTargets", message));
    }
    Ok(spec)
}

/// Whose address it is: the first of the targets with the greatest weight.
pub(super) fn heaviest(spec: &MeshRevisionTag) -> &str {
    let most = spec.targets.iter().map(|target| target.weight).max();
    spec.targets.iter().find(|target| Some(target.weight) == most).map_or("", |target| &target.revision)
}

pub(super) fn check(object: &DynamicObject, spec: &MeshRevisionTag, seen: &Seen) -> Result<Tag, Failure> {
    let revision = heaviest(spec).to_owned();
    let Some(live) = &seen.revision else {
        let message = format!(
            "spec.targets: there is no MeshRevision {revision}: the tag leads where it led before; name another"
        );
        return Err(Failure::of_user("RevisionMissing", message));
    };
    let state: MeshRevisionStatus = status::of(&live.object);
    let namespace = live.object.data.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let tag = Tag { name, uid, revision, namespace, ready_replicas: state.ready_replicas };
    check_name(&tag, seen)?;
    Ok(tag)
}

/// A tag's Service can have the name of a revision's. Whoever came first keeps it.
fn check_name(tag: &Tag, seen: &Seen) -> Result<(), Failure> {
    let service = (kinds::SERVICE, tag.namespace.clone(), names::of_tag(&tag.name));
    let has_it = seen.services.iter().any(|live| live.id() == service && live.is_owned_by(&tag.uid));
    let shares = |namesake: &Live| {
        let namespace = namesake.object.data.pointer("/spec/namespace").and_then(Value::as_str);
        namespace == Some(&tag.namespace) && names::of_revision(&tag.name) == service.2
    };
    if !has_it && seen.namesake.as_ref().is_some_and(shares) {
        let message = format!(
            "MeshRevision {} has a Service {} already, which is what the tag's would be called: give the tag another name",
            tag.name, service.2
        );
        return Err(Failure::of_user("NameTaken", message));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn tag(targets: &Value, replicas: u32) -> Result<Tag, Failure> {
        let metadata = json!({"name": "default", "uid": "uid-1"});
        let object = serde_json::from_value(json!({"metadata": metadata, "spec": {"targets": targets}})).unwrap();
        let spec = read(&object)?;
        let revision =
            json!({"metadata": {"name": "a"}, "spec": {"namespace": "mesh"}, "status": {"readyReplicas": replicas}});
        let revision = Live { kind: kinds::REVISION, object: serde_json::from_value(revision).unwrap() };
        let revision = (heaviest(&spec) == "a").then_some(revision);
        check(&object, &spec, &Seen { revision, ..Seen::default() })
    }

    #[test]
    fn a_tag_leads_to_the_heaviest_of_its_revisions() {
        let target = |revision: &str, weight: u32| json!({"revision": revision, "weight": weight});
        let reason = |targets: Value| tag(&targets, 2).map(|tag| tag.revision).map_err(|failure| failure.reason);
        assert_eq!(reason(json!([target("b", 40), target("a", 60)])), Ok("a".to_owned()));
        assert_eq!(reason(json!([target("a", 50), target("b", 50)])), Ok("a".to_owned()));
        assert_eq!(reason(json!([target("a", 99)])), Err("InvalidTargets"));
        assert_eq!(reason(json!([])), Err("InvalidTargets"));
        assert_eq!(reason(json!([target("b", 100)])), Err("RevisionMissing"));
    }

    #[test]
    fn the_name_of_a_revisions_service_is_not_taken() {
        let live = |kind, object| Live { kind, object: serde_json::from_value(object).unwrap() };
        let revision =
            |name: &str| live(kinds::REVISION, json!({"metadata": {"name": name}, "spec": {"namespace": "mesh"}}));
        let reason = |name: &str, services: Vec<Live>| {
            let metadata = json!({"name": name, "uid": "uid-1"});
            let object = json!({"metadata": metadata, "spec": {"targets": [{"revision": "a", "weight": 100}]}});
            let object = serde_json::from_value(object).unwrap();
            let seen = Seen { revision: Some(revision("a")), services, namesake: Some(revision(name)) };
            check(&object, &read(&object).unwrap(), &seen).err().map(|failure| failure.reason)
        };
        assert_eq!(reason("prod", Vec::new()), Some("NameTaken"));
        assert_eq!(reason("default", Vec::new()), None, "its Service has a name of its own");
        let owners = json!([{"apiVersion": "a/v1", "kind": "A", "name": "prod", "uid": "uid-1"}]);
        let service =
            json!({"metadata": {"name": "tombolo-discovery-prod", "namespace": "mesh", "ownerReferences": owners}});
        assert_eq!(reason("prod", vec![live(kinds::SERVICE, service)]), None, "it was there before");
    }
}
