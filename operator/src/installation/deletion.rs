//! Deleting an installation: at once, or not while proxies are connected.
//!
//! What an installation made goes with it, by owner references, whether or not an operator runs. Only where its policy asks to
//! refuse, there is a finalizer, and then an operator must run to let it go.

use crate::{
    condition::Verdict,
    context::Context,
    controller::Outcome,
    failure::{Failure, Retry},
    kinds,
    names::{self, FINALIZER},
    status,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;
use tombolo_api::mesh::MeshInstallationStatus;

/// How often to ask whether proxies are still connected.
const ASK_AGAIN: Duration = Duration::from_secs(10);

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
    done(vec![refusal(&hindrance)], Some(ASK_AGAIN))
}

fn refusal(hindrance: &str) -> Verdict {
    let message = format!("not deleted: {hindrance}; disconnect them, or set spec.deletionPolicy to Delete");
    Verdict::new("Progressing", true, "DeletionRefused", message).alarming()
}

/// Who is still connected; `None` if nobody is. Whoever does not answer may have somebody.
async fn connected(object: &DynamicObject, context: &Context) -> Result<Option<String>, Failure> {
    let namespace = super::namespace(object);
    let labels = format!("app.kubernetes.io/name={}", names::DISCOVERY);
    let pods = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(&labels)).await;
    let pods = match pods {
        Ok(pods) => pods.items,
        Err(error) => {
            let failure = Failure { retry: Retry::Later, ..Failure::of_call("list Pods", &error) };
            let failure = context.explained(failure, namespace).await;
            // Nor is anything in it.
            return if failure.reason == "NamespaceMissing" { Ok(None) } else { Err(failure) };
        }
    };
    let mut proxies = 0;
    for pod in pods.iter().filter(|pod| crate::proxies::may_serve(pod)) {
        match crate::proxies::connected_to(pod).await {
            Some(count) => proxies += count,
            None => {
                return Ok(Some(format!("pod {} does not say whether proxies are connected to it", pod.name_any())));
            }
        }
    }
    Ok((proxies > 0).then(|| format!("{proxies} proxies are connected")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition;

    #[test]
    fn a_refusal_is_told_once() {
        let refusal = [refusal("2 proxies are connected")];
        assert_eq!(condition::news(&refusal, &[]).len(), 1);
        assert_eq!(condition::news(&refusal, &condition::settle(&refusal, &[], 1, "t")).len(), 0);
    }
}
