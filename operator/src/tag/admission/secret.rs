//! The Secret that keeps certificates: one in each namespace of control planes, mounted by all of them.

use super::certificates::{self, BUNDLE, Data};
use crate::{
    context::Context,
    failure::{Failure, Retry},
    kinds,
    names::{self, MANAGED_BY, MANAGER, WEBHOOK_SECRET},
    tag::validate::Tag,
};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::SystemTime;

/// Makes what is missing and renews what is due; what the API server is to trust.
pub(super) async fn settle(context: &Context, tag: &Tag) -> Result<ByteString, Failure> {
    // Tags share it, and are reconciled at once.
    let _turn = context.certificates.lock().await;
    let secrets = Api::<Secret>::namespaced(context.client.clone(), &tag.namespace);
    let doing = |doing: &str| format!("{doing} Secret {}/{WEBHOOK_SECRET}", tag.namespace);
    let live = secrets.get_opt(WEBHOOK_SECRET).await;
    let live = live.map_err(|error| Failure::of_call(&doing("read"), &error))?;
    if live.as_ref().is_some_and(|live| !is_ours(live)) {
        let message = format!("{} is somebody else's: delete or rename it", doing("cannot write:"));
        return Err(Failure { reason: "ForeignObject", message, retry: Retry::Later });
    }
    let kept = live.as_ref().and_then(|live| live.data.clone()).unwrap_or_default();
    let data = certificates::settle(&kept, &tag.namespace, SystemTime::now()).map_err(|error| Failure {
        reason: "CertificatesFailed",
        message: format!("{}: {error}; it is tried again", doing("cannot make")),
        retry: Retry::Later,
    })?;
    if data != kept || !live.as_ref().is_some_and(|live| is_kept_for(live, tag)) {
        let parameters = PatchParams::apply(MANAGER).force();
        let patched =
            secrets.patch(WEBHOOK_SECRET, &parameters, &Patch::Apply(object(live.as_ref(), tag, &data))).await;
        patched.map_err(|error| Failure::of_call(&doing("apply"), &error))?;
        tracing::info!(
            namespace = tag.namespace,
            name = WEBHOOK_SECRET,
            renewed = data != kept,
            "applied certificates"
        );
    }
    Ok(data.get(BUNDLE).cloned().unwrap_or_default())
}

/// Somebody may have taken its labels away, or its owners.
fn is_ours(secret: &Secret) -> bool {
    is_labelled(secret) || owners(Some(secret)).next().is_some()
}

fn is_labelled(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

/// The tags among its owners.
fn owners(secret: Option<&Secret>) -> impl Iterator<Item = &OwnerReference> {
    let owners = secret.into_iter().flat_map(|secret| secret.metadata.owner_references.iter().flatten());
    owners.filter(|owner| owner.kind == kinds::TAG.name && owner.api_version == kinds::TAG.api_version())
}

/// Whether it stays as long as this tag does.
fn is_kept_for(secret: &Secret, tag: &Tag) -> bool {
    is_labelled(secret) && owners(Some(secret)).any(|owner| owner.uid == tag.uid)
}

/// It goes with the last of its tags. The version makes sure that nothing newer is overwritten.
fn object(live: Option<&Secret>, tag: &Tag, data: &Data) -> Value {
    let kind = kinds::TAG;
    let own = json!({"apiVersion": kind.api_version(), "kind": kind.name, "name": tag.name, "uid": tag.uid});
    // The API server takes no owner twice, and the garbage collector removes those that are gone.
    let others = owners(live).filter(|owner| owner.uid != tag.uid).map(|owner| json!(owner));
    let mut metadata = json!({
        "name": WEBHOOK_SECRET,
        "namespace": tag.namespace,
        "labels": {
            "app.kubernetes.io/name": names::DISCOVERY,
            "app.kubernetes.io/part-of": "tombolo",
            MANAGED_BY: MANAGER,
        },
        "ownerReferences": others.chain([own]).collect::<Value>(),
    });
    if let Some(version) = live.and_then(|live| live.metadata.resource_version.as_deref()) {
        metadata["resourceVersion"] = version.into();
    }
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::validate::tests::tag;

    fn stored(metadata: &Value) -> Secret {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn owner(kind: &str, uid: &str) -> Value {
        json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": kind, "name": uid, "uid": uid})
    }

    #[test]
    fn it_goes_with_the_last_of_its_tags() {
        let tag = tag(&json!([{"revision": "a", "weight": 100}]), 1).unwrap();
        let live = json!({"resourceVersion": "7", "ownerReferences": [owner("MeshRevisionTag", "other")]});
        let object = object(Some(&stored(&live)), &tag, &Data::new());
        let uids: Vec<_> =
            object["metadata"]["ownerReferences"].as_array().unwrap().iter().map(|o| &o["uid"]).collect();
        assert_eq!(uids, ["other", "uid-1"]);
        assert_eq!(object["metadata"]["resourceVersion"], "7");
        let secret: Secret = serde_json::from_value(object).unwrap();
        assert!(is_ours(&secret) && is_kept_for(&secret, &tag));
    }

    #[test]
    fn another_s_secret_is_left_alone() {
        assert!(!is_ours(&stored(&json!({}))));
        assert!(!is_ours(&stored(&json!({"labels": {MANAGED_BY: "Helm"}, "ownerReferences": [owner("Other", "a")]}))));
        assert!(is_ours(&stored(&json!({"labels": {MANAGED_BY: MANAGER}}))));
        assert!(is_ours(&stored(&json!({"ownerReferences": [owner("MeshRevisionTag", "a")]}))));
    }
}
