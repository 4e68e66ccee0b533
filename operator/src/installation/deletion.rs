//! Deleting an installation: at once, or not while proxies are connected.
//!
//! What an installation made goes with it, by owner references, whether or not an operator runs. Only where its policy asks to
//! refuse, there is a finalizer, and then an operator must run to let it go. A finalizer keeps nothing that is owned where the deletion
//! is one in the foreground: Kubernetes' garbage collector begins with that. It is told, as it cannot be refused.

use crate::{
    condition::Verdict,
    context::Context,
    controller::Outcome,
    failure::{Failure, Retry},
    kinds,
    names::{self, FINALIZER},
    proxies, status,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;
use tombolo_api::mesh::MeshInstallationStatus;

/// How often to ask whether proxies are still connected.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The finalizer of Kubernetes' garbage collector, while it deletes what is owned first.
const IN_THE_FOREGROUND: &str = "foregroundDeletion";

/// The policy, whatever else the spec says.
fn refuses(object: &DynamicObject) -> bool {
    object.data.pointer("/spec/deletionPolicy").and_then(Value::as_str) == Some("RefuseWhileConnected")
}

fn is_held(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// A finalizer while the policy asks for it.
pub(super) async fn settle_finalizer(object: &DynamicObject, context: &Context) -> Result<(), Failure> {
    match (refuses(object), is_held(object)) {
        (true, false) => set_finalizer(object, context, true).await,
        (false, true) => set_finalizer(object, context, false).await,
        _ => Ok(()),
    }
}

async fn set_finalizer(object: &DynamicObject, context: &Context, held: bool) -> Result<(), Failure> {
    let others = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
    let finalizers: Vec<String> = others.chain(held.then(|| FINALIZER.to_owned())).collect();
    // Others write this list too: only over what was read.
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()}});
    let parameters = PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() };
    let name = object.name_any();
    let patched =
        kinds::INSTALLATION.objects(&context.client, "").patch(&name, &parameters, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|error| Failure::of_call(&format!("write finalizers of MeshInstallation {name}"), &error))
}

pub(super) async fn reconcile(
    object: &DynamicObject,
    context: &Context,
) -> Result<Outcome<MeshInstallationStatus>, Failure> {
    let status: MeshInstallationStatus = status::of(object);
    let done = |verdicts, again| Ok(Outcome { status, verdicts, again });
    if !is_held(object) {
        return done(Vec::new(), None);
    }
    let hindrance = if refuses(object) { connected(object, context).await? } else { None };
    let Some(hindrance) = hindrance else {
        set_finalizer(object, context, false).await?;
        return done(Vec::new(), None);
    };
    let told = if is_undone(object, context).await? { in_vain(object, &hindrance) } else { refusal(&hindrance) };
    done(vec![told], Some(ASK_AGAIN))
}

/// Whether its revision goes all the same, and with it the control plane.
async fn is_undone(object: &DynamicObject, context: &Context) -> Result<bool, Failure> {
    let revision = context.get(kinds::REVISION, &object.name_any()).await?;
    Ok(revision.is_none_or(|revision| revision.object.metadata.deletion_timestamp.is_some()))
}

fn in_vain(object: &DynamicObject, hindrance: &str) -> Verdict {
    let why = if object.finalizers().iter().any(|finalizer| finalizer == IN_THE_FOREGROUND) {
        "its MeshRevision is deleted all the same: in a deletion in the foreground Kubernetes deletes what is owned, whoever refuses; \
         only one in the background waits for proxies"
    } else {
        "its MeshRevision is gone or being deleted, and its control plane with it"
    };
    let message = format!("{hindrance}, but {why}");
    Verdict::new("Progressing", true, "RevisionDeleted", message).alarming()
}

fn refusal(hindrance: &str) -> Verdict {
    let message = format!("not deleted: {hindrance}; disconnect them, or set spec.deletionPolicy to Delete");
    Verdict::new("Progressing", true, "DeletionRefused", message).alarming()
}

/// Who is still connected; `None` if nobody is. Whoever does not answer may have somebody.
async fn connected(object: &DynamicObject, context: &Context) -> Result<Option<String>, Failure> {
    let namespace = super::namespace(object);
    let pods = match proxies::replicas(context, namespace, None).await {
        Ok(pods) => pods,
        Err(failure) => {
            let failure = context.explained(Failure { retry: Retry::Later, ..failure }, namespace).await;
            // Nor is anything in it.
            return if failure.reason == "NamespaceMissing" { Ok(None) } else { Err(failure) };
        }
    };
    let mut count = 0;
    for pod in pods.into_iter().filter(proxies::may_serve) {
        let name = pod.name_any();
        match proxies::connected_to(pod).await {
            Some(connected) => count += connected.len(),
            None => return Ok(Some(format!("pod {name} does not say whether proxies are connected to it"))),
        }
    }
    Ok((count > 0).then(|| format!("{count} proxies are connected")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{condition, metrics::Metrics, scripted::Api};

    #[tokio::test]
    async fn a_refusal_that_is_in_vain_is_none() {
        let mesh = "/apis/mesh.tombolo.dev/v1alpha1/meshrevisions";
        for (revision, expected) in [
            (Some(json!({"name": "a"})), "DeletionRefused"),
            (Some(json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"})), "RevisionDeleted"),
            (None, "RevisionDeleted"),
        ] {
            let api = Api::default();
            let pod = json!({"metadata": {"name": "d-1"}, "status": {"phase": "Running"}});
            api.put("/api/v1/namespaces/tombolo-system/pods", pod);
            revision.into_iter().for_each(|metadata| api.put(mesh, json!({"metadata": metadata})));
            let context = Context::new(api.client(), "me".to_owned(), Vec::new(), "r".to_owned(), Metrics::default());
            let metadata = json!({"name": "a", "finalizers": [FINALIZER]});
            let object = json!({"metadata": metadata, "spec": {"deletionPolicy": "RefuseWhileConnected"}});
            let outcome = reconcile(&serde_json::from_value(object).unwrap(), &context).await.unwrap();
            assert_eq!(outcome.verdicts[0].reason, expected);
            assert!(outcome.verdicts[0].message.contains("pod d-1 does not say"), "{}", outcome.verdicts[0].message);
            assert_eq!((outcome.again, api.written().len()), (Some(ASK_AGAIN), 0), "it is held");
        }
    }

    #[test]
    fn a_deletion_in_the_foreground_is_blamed_where_it_is_one() {
        let said = |finalizers: &[&str]| {
            let object = json!({"metadata": {"name": "a", "finalizers": finalizers}});
            in_vain(&serde_json::from_value(object).unwrap(), "1 proxies are connected").message
        };
        assert!(said(&[FINALIZER, "foregroundDeletion"]).contains("in a deletion in the foreground"));
        let other = said(&[FINALIZER]);
        assert!(other.contains("gone or being deleted") && !other.contains("foreground"), "{other}");
    }

    #[test]
    fn a_refusal_is_told_once() {
        let refusal = [refusal("2 proxies are connected")];
        assert_eq!(condition::news(&refusal, &[]).len(), 1);
        assert_eq!(condition::news(&refusal, &condition::settle(&refusal, &[], 1, "t")).len(), 0);
    }
}
