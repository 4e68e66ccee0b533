//! A tag to its Service. Pure.

use super::validate::Tag;
use crate::{apply::Wanted, kinds, names, revision};
use serde_json::json;

/// Proxies are configured with its name, which never changes, whatever revision they come to.
pub(super) fn service(tag: &Tag) -> Wanted {
    let owner = kinds::TAG;
    let body = json!({
        "metadata": {
            "name": names::of_tag(&tag.name),
            "namespace": tag.namespace,
            "labels": {
                "app.kubernetes.io/name": names::DISCOVERY,
                "app.kubernetes.io/part-of": "tombolo",
                names::MANAGED_BY: names::MANAGER,
                names::TAG: tag.name,
            },
            "ownerReferences": [{
                "apiVersion": owner.api_version(), "kind": owner.name, "name": tag.name, "uid": tag.uid, "controller": true,
            }],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": {"app.kubernetes.io/name": names::DISCOVERY, names::REVISION: tag.revision},
            "ports": revision::ports(),
        },
    });
    Wanted::new(kinds::SERVICE, body)
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
    }
}
