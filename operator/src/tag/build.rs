//! A tag to its Service. Pure.

use super::validate::Tag;
use crate::{apply::Wanted, kinds, names, revision};
use serde_json::{Value, json};

/// Proxies are configured with its name, which never changes, whatever revision they come to.
pub(super) fn service(tag: &Tag) -> Wanted {
    let body = json!({
        "metadata": metadata(tag, Some(&tag.namespace)),
        "spec": {
            "type": "ClusterIP",
            "selector": {"app.kubernetes.io/name": names::DISCOVERY, names::REVISION: tag.revision},
            "ports": revision::ports(),
        },
    });
    Wanted::new(kinds::SERVICE, body)
}

/// The metadata of an object of a tag, in a namespace if its kind has such.
pub(super) fn metadata(tag: &Tag, namespace: Option<&str>) -> Value {
    let owner = kinds::TAG;
    let mut metadata = json!({
        "name": names::of_tag(&tag.name),
        "labels": {
            "app.kubernetes.io/name": names::DISCOVERY,
            "app.kubernetes.io/instance": tag.name,
            "app.kubernetes.io/component": "control-plane",
            "app.kubernetes.io/part-of": "tombolo",
            names::MANAGED_BY: names::MANAGER,
            names::REVISION: tag.revision,
            names::TAG: tag.name,
        },
        "ownerReferences": [{
            "apiVersion": owner.api_version(), "kind": owner.name, "name": tag.name, "uid": tag.uid, "controller": true,
        }],
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::{super::validate::tests::tag, *};
    use k8s_openapi::api::core::v1::Service;

    #[test]
    fn the_service_selects_the_revisions_pods() {
        let wanted = service(&tag(&json!([{"revision": "a", "weight": 100}]), 1).unwrap());
        let service: Service = serde_json::from_value(wanted.body.clone()).unwrap();
        assert_eq!(serde_json::to_value(&service).unwrap(), wanted.body, "every field is one of a Service");
        assert_eq!((wanted.name(), wanted.namespace()), ("tombolo-discovery", "mesh"));
        assert_eq!(wanted.body["spec"]["selector"]["istio.io/rev"], "a");
        let labels = &wanted.body["metadata"]["labels"];
        assert_eq!((&labels["istio.io/rev"], &labels["istio.io/tag"]), (&json!("a"), &json!("default")));
    }
}
