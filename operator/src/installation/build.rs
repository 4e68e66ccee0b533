//! An installation to its revision, its default tag and its GatewayClass. Pure.

use super::{dereference::Seen, validate::Installation};
use crate::{
    apply::{Standing, Wanted},
    kinds::{self, Kind},
    names,
};
use serde_json::{Map, Value, json};

/// What a revision takes over from its installation, as it is written there.
const TAKEN: [&str; 6] = ["namespace", "images", "mesh", "discovery", "ca", "virtualMachines"];

/// In place, there is one revision, named after the installation; and the default tag names it.
pub(super) fn objects(installation: &Installation, seen: &Seen) -> Vec<Wanted> {
    let mut objects = vec![revision(installation), tag(installation)];
    if seen.gateway_api.has_classes() {
        let class = class(installation);
        let stored = seen.class.as_ref().map(|live| Standing::of(&live.object.metadata, &class));
        // Somebody's own serves as well, or is told of: see `status`.
        objects.extend((!matches!(stored, Some(Standing::Foreign(_)))).then_some(class));
    }
    objects
}

pub(super) fn revision(installation: &Installation) -> Wanted {
    let taken = TAKEN.into_iter().filter_map(|key| Some((key.to_owned(), installation.spec.get(key)?.clone())));
    let mut spec: Map<String, Value> = taken.collect();
    spec.insert("version".to_owned(), installation.version.into());
    spec.insert("namespace".to_owned(), installation.namespace.clone().into());
    let metadata = metadata(installation, &installation.name, (names::REVISION, &installation.name));
    Wanted::new(kinds::REVISION, json!({"metadata": metadata, "spec": spec}))
}

pub(super) fn tag(installation: &Installation) -> Wanted {
    let targets = json!([{"revision": installation.name, "weight": 100}]);
    let metadata = metadata(installation, names::DEFAULT_TAG, (names::TAG, names::DEFAULT_TAG));
    Wanted::new(kinds::TAG, json!({"metadata": metadata, "spec": {"targets": targets}}))
}

fn class(installation: &Installation) -> Wanted {
    let description = "Each Gateway is an Envoy of the mesh, with its own address";
    let metadata = metadata(installation, names::GATEWAY_CLASS, ("app.kubernetes.io/name", "tombolo"));
    let spec = json!({"controllerName": names::GATEWAY_CONTROLLER, "description": description});
    Wanted::new(kinds::GATEWAY_CLASS, json!({"metadata": metadata, "spec": spec}))
}

fn metadata(installation: &Installation, name: &str, (key, value): (&str, &str)) -> Value {
    const OWNER: Kind = kinds::INSTALLATION;
    json!({
        "name": name,
        "labels": {
            key: value,
            "app.kubernetes.io/instance": installation.name,
            "app.kubernetes.io/part-of": "tombolo",
            names::MANAGED_BY: names::MANAGER,
        },
        "ownerReferences": [{
            "apiVersion": OWNER.api_version(), "kind": OWNER.name, "name": installation.name, "uid": installation.uid,
            "controller": true,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::{super::validate::tests::installation, *};
    use crate::{apply::Live, definitions::gateway_api_with};
    use tombolo_api::mesh::{MeshRevision, MeshRevisionTag};

    fn built(spec: &Value, seen: &Seen) -> Vec<Value> {
        objects(&installation(spec).unwrap(), seen).into_iter().map(|object| object.body).collect()
    }

    #[test]
    fn a_revision_is_what_its_installation_says() {
        let spec = json!({"mesh": {"network": "a"}, "update": {"strategy": "InPlace"}, "deletionPolicy": "Delete"});
        let revision = &built(&spec, &Seen::default())[0];
        let expected = json!({"mesh": {"network": "a"}, "version": "0.1.0", "namespace": "tombolo-system"});
        assert_eq!(revision["spec"], expected);
        serde_json::from_value::<MeshRevision>(revision["spec"].clone()).unwrap();
        assert_eq!(revision["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    }

    #[test]
    fn the_default_tag_names_it() {
        let tag: MeshRevisionTag =
            serde_json::from_value(built(&json!({}), &Seen::default())[1]["spec"].clone()).unwrap();
        assert_eq!((&*tag.targets[0].revision, tag.targets[0].weight), ("default", 100));
    }

    fn seen(class: Option<&Value>) -> Seen {
        let live = |object: &Value| Live {
            kind: kinds::GATEWAY_CLASS,
            object: serde_json::from_value(object.clone()).unwrap(),
        };
        Seen { gateway_api: gateway_api_with(&[]), class: class.map(live), ..Seen::default() }
    }

    #[test]
    fn a_gateway_class_is_made_where_there_are_such() {
        assert_eq!(built(&json!({}), &Seen::default()).len(), 2);
        assert_eq!(built(&json!({}), &seen(None))[2]["spec"]["controllerName"], "mesh.tombolo.dev/gateway-controller");
    }

    #[test]
    fn somebodys_own_gateway_class_is_left_alone() {
        let theirs = json!({"metadata": {"name": "tombolo"}, "spec": {"controllerName": names::GATEWAY_CONTROLLER}});
        assert_eq!(built(&json!({}), &seen(Some(&theirs))).len(), 2);
        let ours = built(&json!({}), &seen(None)).remove(2);
        assert_eq!(built(&json!({}), &seen(Some(&ours))).len(), 3);
    }
}
