//! A tag to its ValidatingWebhookConfiguration. Pure.

use crate::{
    apply::Wanted,
    kinds,
    names::{self, DEFAULT_TAG, port},
    tag::validate::Tag,
};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A write waits no longer than this for its warnings. Seconds.
const TIMEOUT: u8 = 2;
/// Whose kinds are reviewed: those that are not read yet are warned of.
const GROUPS: [&str; 6] = [
    "extensions.istio.io",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "networking.istio.io",
    "security.istio.io",
    "telemetry.istio.io",
];

/// What is labelled is read by the revision that the label names, by its own name or a tag's; what is not is read by all, and
/// the default tag's revision speaks for them.
pub(super) fn configuration(tag: &Tag, bundle: &ByteString) -> Wanted {
    let names: BTreeSet<&str> = [&*tag.name, &*tag.revision].into();
    let labelled = json!({"matchExpressions": [{"key": names::REVISION, "operator": "In", "values": names}]});
    let mut webhooks = vec![webhook(tag, bundle, "labelled", &labelled)];
    if tag.name == DEFAULT_TAG {
        let unlabelled = json!({"matchExpressions": [{"key": names::REVISION, "operator": "DoesNotExist"}]});
        webhooks.push(webhook(tag, bundle, "unlabelled", &unlabelled));
    }
    let body = json!({"metadata": super::super::build::metadata(tag, None), "webhooks": webhooks});
    Wanted::new(kinds::VALIDATING_WEBHOOK, body)
}

/// All is said, what the API server would fill in too: so a change of it by others is seen.
fn webhook(tag: &Tag, bundle: &ByteString, name: &str, selector: &Value) -> Value {
    // Of no interest to the mesh, and what a cluster and a control plane need to come up.
    let elsewhere = ["kube-node-lease", "kube-public", "kube-system", &*tag.namespace];
    let rule = |groups: &[&str], resources: &str| {
        json!({
            "apiGroups": groups, "apiVersions": ["*"], "resources": [resources], "operations": ["CREATE", "UPDATE"], "scope": "*",
        })
    };
    json!({
        "name": format!("{name}.admission.mesh.tombolo.dev"),
        "clientConfig": {
            "caBundle": bundle,
            "service": {"name": names::of_tag(&tag.name), "namespace": tag.namespace, "path": "/validate", "port": port::WEBHOOK},
        },
        "rules": [rule(&GROUPS, "*"), rule(&[tombolo_api::mesh::GROUP], "meshinstallations")],
        "objectSelector": selector,
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": elsewhere}],
        },
        // Warnings only: what must not be stored is refused by schemas.
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT,
        "admissionReviewVersions": ["v1"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::validate::tests::tag;
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    use tombolo_api::Kind;

    fn of(name: &str) -> (Value, ValidatingWebhookConfiguration) {
        let tag = Tag { name: name.to_owned(), ..tag(&json!([{"revision": "a", "weight": 100}]), 1).unwrap() };
        let body = configuration(&tag, &ByteString(b"authorities".to_vec())).body;
        (body.clone(), serde_json::from_value(body).unwrap())
    }

    #[test]
    fn every_field_is_one_of_a_webhook() {
        let (body, typed) = of("default");
        assert_eq!(serde_json::to_value(&typed).unwrap(), body);
        assert_eq!(typed.metadata.name.as_deref(), Some("tombolo-discovery"));
        assert_eq!(typed.metadata.owner_references.unwrap()[0].uid, "uid-1");
    }

    #[test]
    fn nothing_is_ever_refused_or_waited_for() {
        for webhook in of("default").1.webhooks.unwrap() {
            assert_eq!(webhook.failure_policy.as_deref(), Some("Ignore"));
            assert!(webhook.timeout_seconds.is_some_and(|seconds| seconds <= 2));
            assert_eq!(webhook.side_effects, "None");
            let left_out = &webhook.namespace_selector.unwrap().match_expressions.unwrap()[0];
            let values = left_out.values.as_ref().unwrap();
            assert!(["kube-system", "mesh"].iter().all(|name| values.contains(&(*name).to_owned())), "{values:?}");
            let service = webhook.client_config.service.unwrap();
            assert_eq!(
                (&*service.name, &*service.namespace, service.port),
                (names::of_tag("default").as_str(), "mesh", Some(15017))
            );
        }
    }

    #[test]
    fn the_default_tag_speaks_for_what_has_no_label() {
        let selectors = |name: &str| {
            let webhooks = of(name).1.webhooks.unwrap().into_iter();
            let selectors =
                webhooks.map(|webhook| webhook.object_selector.unwrap().match_expressions.unwrap().remove(0));
            selectors.map(|one| (one.operator, one.values.unwrap_or_default())).collect::<Vec<_>>()
        };
        let named = |names: &[&str]| ("In".to_owned(), names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(selectors("prod"), [named(&["a", "prod"])]);
        assert_eq!(selectors("default"), [named(&["a", "default"]), ("DoesNotExist".to_owned(), vec![])]);
    }

    #[test]
    fn what_people_write_for_the_mesh_is_reviewed() {
        // Kubernetes' own kinds are everybody's, and Secrets nobody's to pass around.
        let kubernetes = ["", "discovery.k8s.io"];
        for kind in Kind::ALL.into_iter().filter(|kind| !kubernetes.contains(&kind.group())) {
            let rules = of("default").1.webhooks.unwrap().remove(0).rules.unwrap();
            let covers =
                |list: &Option<Vec<String>>, name: &str| list.iter().flatten().any(|item| item == name || item == "*");
            let covered = |rule: &&k8s_openapi::api::admissionregistration::v1::RuleWithOperations| {
                covers(&rule.api_groups, kind.group()) && covers(&rule.resources, kind.plural())
            };
            assert!(rules.iter().any(|rule| covered(&rule)), "{kind}");
        }
    }
}
