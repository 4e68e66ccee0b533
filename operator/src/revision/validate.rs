//! What a MeshRevision says, checked. No client.

use crate::{
    failure::Failure,
    names,
    release::{self, Release},
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};
use std::sync::Arc;
use tombolo_api::{AnyObject, Object, manifest, mesh::MeshInstallation};
use tombolo_core::Problem;
use xxhash_rust::xxh3::xxh3_64;

/// A revision that can be made.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) release: &'static Release,
    /// Its settings: a MeshInstallation without the parts that are about updates.
    pub(crate) settings: Arc<Object<MeshInstallation>>,
    /// The same as it is handed to the control plane.
    pub(crate) document: String,
    /// Host and path before the names of images.
    pub(crate) registry: String,
    /// The namespace of the operator, which asks control planes who is connected.
    pub(crate) operators: String,
}

impl Revision {
    /// The name of its objects.
    pub(crate) fn objects(&self) -> String {
        names::of_revision(&self.name)
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Tells settings apart.
    pub(crate) fn hash(&self) -> String {
        format!("{:016x}", xxh3_64(self.document.as_bytes()))[..10].to_owned()
    }
}

/// What a spec says.
pub(crate) struct Settings {
    pub(crate) settings: Arc<Object<MeshInstallation>>,
    /// The same as it is written.
    document: Value,
    /// What is said of it, though it can be made.
    pub(crate) warnings: Vec<String>,
}

/// Reads a spec as a MeshInstallation's, whose checks hold for it.
pub(crate) fn settings(name: &str, spec: &Value) -> Result<Settings, Failure> {
    let document = json!({
        "apiVersion": format!("{}/v1alpha1", tombolo_api::mesh::GROUP),
        "kind": "MeshInstallation",
        "metadata": {"name": name},
        "spec": spec,
    });
    let decoded = manifest::decode_stored(document.clone());
    let (errors, warnings): (Vec<_>, Vec<_>) = decoded.problems.iter().partition(|problem| problem.is_error());
    match decoded.object {
        Some(AnyObject::MeshInstallation(settings)) => Ok(Settings { settings, document, warnings: texts(&warnings) }),
        _ => Err(Failure::of_user("InvalidSettings", texts(&errors).join("\n"))),
    }
}

fn texts(problems: &[&Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// What a version needs.
pub(crate) fn release(version: &str) -> Result<&'static Release, Failure> {
    release::find(version).ok_or_else(|| {
        let message = format!(
            "this operator does not know version {version}: use one of {}, or another operator",
            release::known()
        );
        Failure::of_user("UnknownVersion", message)
    })
}

/// Checks a revision. `operators`: the namespace of the operator. `registry`: where images come from if it does not say so.
pub(crate) fn check(object: &DynamicObject, operators: &str, registry: &str) -> Result<Revision, Failure> {
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    let Settings { settings, document, .. } = settings(&short(&object.name_any()), spec)?;
    let registry = settings.images.registry.as_deref().unwrap_or(registry).to_owned();
    let document = serde_saphyr::to_string(&handed_over(document, &registry))
        .map_err(|error| Failure::of_user("InvalidSettings", format!("cannot be written as YAML: {error}")))?;
    Ok(Revision {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        release: release(settings.version.as_deref().unwrap_or(release::OWN))?,
        registry,
        operators: operators.to_owned(),
        settings,
        document,
    })
}

/// What a control plane reads of its settings: how it is run itself is not part of it, so that a change of that alone does not
/// make other pods. Where images come from is, as it makes gateways.
fn handed_over(mut document: Value, registry: &str) -> Value {
    if let Some(spec) = document["spec"].as_object_mut() {
        spec.retain(|key, _| ["namespace", "images", "mesh", "ca", "virtualMachines"].contains(&&**key));
    } else {
        document["spec"] = json!({});
    }
    document["spec"]["images"]["registry"] = registry.into();
    document
}

/// A revision's name can be longer than an installation's: it is checked by its own schema.
fn short(name: &str) -> String {
    name.chars().take(32).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn revision(spec: &Value) -> Result<Revision, Failure> {
        let metadata = json!({"name": "default", "uid": "uid-1", "generation": 1});
        let object = json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "metadata": metadata, "spec": spec});
        check(&serde_json::from_value(object).unwrap(), "operators", "ghcr.io/tombolo-mesh")
    }

    #[test]
    fn mistakes_are_named() {
        let reason = |spec: &Value| {
            revision(spec).map(|r| r.release.version).map_err(|failure| (failure.reason, failure.message))
        };
        assert_eq!(reason(&json!({})), Ok(release::OWN));
        let (reason_of, message) = reason(&json!({"version": "9.9.9"})).unwrap_err();
        assert_eq!(reason_of, "UnknownVersion");
        assert!(message.contains("9.9.9") && message.contains(release::OWN), "{message}");
        let (reason_of, message) = reason(&json!({"mesh": {"trustDomain": "A B"}})).unwrap_err();
        assert_eq!(reason_of, "InvalidSettings");
        assert!(message.contains("spec.mesh.trustDomain"), "{message}");
    }

    #[test]
    fn settings_are_told_apart() {
        let hash = |spec: &Value| revision(spec).unwrap().hash();
        assert_eq!(
            hash(&json!({"mesh": {"network": "a", "cluster": "b"}})),
            hash(&json!({"mesh": {"cluster": "b", "network": "a"}}))
        );
        assert_ne!(hash(&json!({"mesh": {"network": "a"}})), hash(&json!({"mesh": {"network": "b"}})));
        assert_eq!(
            hash(&json!({"discovery": {"replicas": 5}})),
            hash(&json!({})),
            "how it is run is not its own matter"
        );
        let registry = json!({"images": {"registry": "example.com"}});
        assert_ne!(hash(&registry), hash(&json!({})), "it makes gateways of images from there");
    }
}
