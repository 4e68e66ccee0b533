//! One write of one status.

use crate::{observed::Seen, watch::resource};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;
use tombolo_api::ObjectKey;
use tombolo_kubernetes::retry::Failure;

/// Who writes, in `managedFields`.
pub(super) const MANAGER: &str = "tombolo-writer";
/// For the API server's answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Refused(#[from] kube::Error),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    NoAnswer(#[from] tokio::time::error::Elapsed),
}

impl WriteError {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Refused(error) => Failure::of(error),
            Self::NoAnswer(_) => Failure::Unavailable,
        }
    }
}

/// Writes fields of a status over what was seen, and nothing where the object is no longer as it was seen. Returns what it
/// is now.
pub(super) async fn write(
    client: Client,
    key: &ObjectKey,
    served: &str,
    base: &str,
    status: &Value,
) -> Result<Seen, WriteError> {
    let resource = resource(key.kind, served);
    let api: Api<DynamicObject> = match &*key.name.namespace {
        "" => Api::all_with(client, &resource),
        namespace => Api::namespaced_with(client, namespace, &resource),
    };
    let patch = json!({"metadata": {"resourceVersion": base}, "status": status});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&patch);
    let answer = tokio::time::timeout(PATIENCE, api.patch_status(&key.name.name, &params, &patch)).await;
    let mut object = answer??;
    let status = object.data.get_mut("status").map(Value::take).unwrap_or_default();
    Ok(Seen { version: object.metadata.resource_version.unwrap_or_default(), status })
}
