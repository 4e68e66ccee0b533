//! A revision to the objects that it runs on. Pure.

mod access;
mod deployment;
mod network;
mod scaling;

pub(crate) use network::ports;

use super::{dereference::Seen, replicas, validate::Revision};
use crate::{
    apply::Wanted,
    kinds::{self, Kind},
    names,
};
use serde_json::{Map, Value, json};

/// All objects of a revision, in the order in which they are applied: the Deployment's pods find what they need.
pub(super) fn objects(revision: &Revision, seen: &Seen) -> Vec<Wanted> {
    let id = (kinds::DEPLOYMENT, revision.namespace().to_owned(), revision.objects());
    let replicas = replicas::wanted(revision, seen.find(revision, &id));
    let mut objects = access::objects(revision);
    objects.push(settings(revision));
    objects.extend(network::objects(revision));
    objects.push(deployment::object(revision, &replicas));
    objects.extend(scaling::objects(revision));
    objects
}

/// The name of the ConfigMap with the settings: another for other settings, so that a pod that starts again during an update that
/// fails has those that it had.
fn settings_name(revision: &Revision) -> String {
    format!("{}-{}", revision.objects(), revision.hash())
}

fn settings(revision: &Revision) -> Wanted {
    let body = json!({
        "metadata": metadata(revision, kinds::CONFIG_MAP, &settings_name(revision)),
        "immutable": true,
        "data": {"installation.yaml": revision.document},
    });
    Wanted::new(kinds::CONFIG_MAP, body)
}

/// The metadata of an object of a revision.
fn metadata(revision: &Revision, kind: Kind, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": labels(revision),
        "ownerReferences": [{
            "apiVersion": kinds::REVISION.api_version(),
            "kind": kinds::REVISION.name,
            "name": revision.name,
            "uid": revision.uid,
            "controller": true,
        }],
    });
    if kind.namespaced {
        metadata["namespace"] = revision.namespace().into();
    }
    metadata
}

/// What tells the pods of a revision from all others. It can never change: a Deployment keeps its selector.
fn selector(revision: &Revision) -> Map<String, Value> {
    let labels = [("app.kubernetes.io/name", names::DISCOVERY), (names::REVISION, &revision.name)];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn labels(revision: &Revision) -> Map<String, Value> {
    let mut labels = selector(revision);
    let more = [
        ("app.kubernetes.io/instance", &*revision.name),
        ("app.kubernetes.io/component", "control-plane"),
        ("app.kubernetes.io/part-of", "tombolo"),
        ("app.kubernetes.io/version", revision.release.version),
        (names::MANAGED_BY, names::MANAGER),
    ];
    labels.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value.into())));
    labels
}

#[cfg(test)]
mod tests;
