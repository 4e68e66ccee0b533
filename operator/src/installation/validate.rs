//! What a MeshInstallation says, checked. No client.

use super::{build, dereference::Seen};
use crate::{
    apply::{Live, Standing, Wanted},
    context::Context,
    failure::Failure,
    names, release, revision,
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Map, Value};
use tombolo_api::mesh::Strategy;

/// An installation that can be made.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The version that it asks for.
    pub(crate) version: &'static str,
    /// Its spec as it is written: revisions are made of parts of it.
    pub(crate) spec: Map<String, Value>,
    /// Where its control planes are.
    pub(crate) namespace: String,
    /// What is set without effect, or should not be.
    pub(crate) warnings: Vec<String>,
}

pub(super) fn check(object: &DynamicObject, seen: &Seen, context: &Context) -> Result<Installation, Failure> {
    let installation = read(object)?;
    check_place(&installation, seen, &context.namespaces)?;
    Ok(installation)
}

/// Checks what it says for itself.
fn read(object: &DynamicObject) -> Result<Installation, Failure> {
    let name = object.name_any();
    let spec = object.data.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let revision::Settings { settings, warnings, .. } = revision::settings(&name, &Value::Object(spec.clone()))?;
    if settings.update.strategy == Strategy::Canary {
        let message = "spec.update.strategy: Canary is not supported yet; what runs stays as it is: use InPlace";
        return Err(Failure::of_user("Unsupported", message));
    }
    let release = revision::release(settings.version.as_deref().unwrap_or(release::OWN))?;
    Ok(Installation {
        name,
        uid: object.uid().unwrap_or_default(),
        version: release.version,
        spec,
        namespace: settings.namespace.to_string(),
        warnings,
    })
}

/// Checks that its names are free, and that it stays where it is.
fn check_place(installation: &Installation, seen: &Seen, namespaces: &[String]) -> Result<(), Failure> {
    let namespace = &installation.namespace;
    if !namespaces.contains(namespace) {
        let message = format!(
            "spec.namespace: the operator may install nothing in {namespace}: add it to operator.meshNamespaces of the chart, or use \
             one of {}",
            namespaces.join(", ")
        );
        return Err(Failure::of_user("NamespaceNotManaged", message));
    }
    if is_taken(seen.tag.as_ref(), &build::tag(installation)) {
        let message = format!(
            "MeshRevisionTag {} is another installation's: one cluster has one mesh; delete this installation, or the other",
            names::DEFAULT_TAG
        );
        return Err(Failure::of_user("TagTaken", message));
    }
    if is_taken(seen.revision.as_ref(), &build::revision(installation)) {
        let message = format!("MeshRevision {} is somebody else's: delete it, or rename this", installation.name);
        return Err(Failure::of_user("RevisionTaken", message));
    }
    let before = seen.revision.as_ref().and_then(|live| live.object.data.pointer("/spec/namespace")?.as_str());
    if let Some(before) = before.filter(|before| before != namespace) {
        let message =
            format!("spec.namespace: a control plane does not move: use {before}, or delete the installation first");
        return Err(Failure::of_user("NamespaceChanged", message));
    }
    Ok(())
}

/// What an installation of the same name left behind is free: this one is that, made anew.
fn is_taken(live: Option<&Live>, wanted: &Wanted) -> bool {
    live.is_some_and(|live| matches!(Standing::of(&live.object.metadata, wanted), Standing::Foreign(_)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    pub(crate) fn installation(spec: &Value) -> Result<Installation, Failure> {
        let metadata = json!({"name": "default", "uid": "uid-1"});
        read(&serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap())
    }

    #[test]
    fn what_is_set_without_effect_is_remembered() {
        assert_eq!(installation(&json!({})).unwrap().warnings, [""; 0]);
        let warnings = installation(&json!({"mesh": {"meshId": "a"}})).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("spec.mesh.meshId"), "{warnings:?}");
    }

    fn reason(spec: &Value, seen: &Seen) -> &'static str {
        let placed = installation(spec).and_then(|i| check_place(&i, seen, &["tombolo-system".to_owned()]));
        placed.err().map_or("", |failure| failure.reason)
    }

    #[test]
    fn what_cannot_be_installed_is_told() {
        let nothing = Seen::default();
        assert_eq!(reason(&json!({}), &nothing), "");
        assert_eq!(reason(&json!({"version": "9.9.9"}), &nothing), "UnknownVersion");
        assert_eq!(reason(&json!({"discovery": {"replicas": 0}}), &nothing), "InvalidSettings");
        assert_eq!(reason(&json!({"update": {"strategy": "Canary"}}), &nothing), "Unsupported");
        assert_eq!(reason(&json!({"namespace": "elsewhere"}), &nothing), "NamespaceNotManaged");
    }

    #[test]
    fn what_is_anothers_is_not_taken() {
        let live = |owner: &str, namespace: &str| {
            let owners = json!([{"apiVersion": "a/v1", "kind": "A", "name": "a", "uid": owner}]);
            let object =
                json!({"metadata": {"name": "a", "ownerReferences": owners}, "spec": {"namespace": namespace}});
            Some(Live { kind: kinds::REVISION, object: serde_json::from_value(object).unwrap() })
        };
        let seen = |revision, tag| Seen { revision, tag, ..Seen::default() };
        let here = "tombolo-system";
        assert_eq!(reason(&json!({}), &seen(live("uid-1", here), live("uid-1", here))), "");
        assert_eq!(reason(&json!({}), &seen(None, live("uid-2", here))), "TagTaken");
        assert_eq!(reason(&json!({}), &seen(live("uid-2", here), None)), "RevisionTaken");
        assert_eq!(reason(&json!({}), &seen(live("uid-1", "before"), None)), "NamespaceChanged");
    }

    #[test]
    fn what_an_installation_of_this_name_left_is_taken_over() {
        let left = |wanted: Wanted, owner: &str| {
            let mut object = wanted.body;
            object["metadata"]["ownerReferences"][0]["uid"] = "uid-0".into();
            object["metadata"]["ownerReferences"][0]["name"] = owner.into();
            Some(Live { kind: wanted.kind, object: serde_json::from_value(object).unwrap() })
        };
        let this = installation(&json!({})).unwrap();
        let seen = |owner| Seen {
            revision: left(build::revision(&this), owner),
            tag: left(build::tag(&this), owner),
            ..Seen::default()
        };
        assert_eq!(reason(&json!({}), &seen("default")), "");
        assert_eq!(reason(&json!({}), &seen("other")), "TagTaken");
    }
}
