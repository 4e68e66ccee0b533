//! What this control plane finds itself of how it is set up, in the status of its own MeshRevision: there the operator reads it, and
//! tells it on of the MeshInstallation.
//!
//! ```text
//! ControlPlane: what is found ─► RevisionWriter ─► MeshRevision ─► operator ─► MeshInstallation
//! ```
//!
//! Conditions of these types are the writer's, all others the operator's: each applies its own, which leaves the other's as they are.
//! The object is read where something else is found, and now and then: what somebody changed is put right then. It is written only where
//! it differs.

use super::{
    merge,
    metrics::StatusMetrics,
    write::{MANAGER, PATIENCE, WriteError},
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{sleep, timeout},
};
use tombolo_api::{
    Kind,
    mesh::{FOUND_BY_CONTROL_PLANE, GROUP},
};
use tombolo_controlplane::{Applied, ControlPlane, Stopped, TimedStatus, World};
use tombolo_kubernetes::{
    conditions,
    retry::{Backoff, Failure},
};

const KIND: &str = "MeshRevision";
/// From one look to the next, at least: what is found may change several times in a row.
const PAUSE: Duration = Duration::from_secs(1);
/// To the next look where nothing is known to have changed: somebody may have changed what was written.
const AGAIN: Duration = Duration::from_secs(300);

/// Writes what is found.
pub(crate) struct RevisionWriter {
    /// What finds it.
    pub(crate) plane: ControlPlane,
    /// How it is written.
    pub(crate) client: Client,
    /// The name of the MeshRevision, which need not be there.
    pub(crate) revision: String,
    /// Counts.
    pub(crate) metrics: StatusMetrics,
}

impl RevisionWriter {
    /// Writes while `writer` says so, until nobody can say so any more or the control plane stops.
    pub(crate) async fn run(self, mut writer: watch::Receiver<bool>) {
        self.plane.ready().await;
        while writer.wait_for(|held| *held).await.is_ok() {
            tokio::select! {
                biased;
                lost = writer.wait_for(|held| !*held) => if lost.is_err() { return },
                () = self.plane.stopped() => return,
                Err(Stopped) = self.keep() => return,
            }
        }
    }

    async fn keep(&self) -> Result<Infallible, Stopped> {
        // Heard from before the first look, so that nothing falls in between.
        let (mut news, mut failures, mut settled) = (self.plane.subscribe(), Backoff::default(), None);
        loop {
            let found = self.plane.ask(found).await?;
            if settled.as_ref() != Some(&found) {
                if let Err(error) = self.settle(&found).await {
                    sleep(failures.after(self.failed(&error))).await;
                    continue;
                }
                failures.reset();
                settled = Some(found);
            }
            sleep(PAUSE).await;
            if timeout(AGAIN, changed(&mut news)).await.is_err() {
                settled = None;
            }
        }
    }

    fn failed(&self, error: &WriteError) -> Failure {
        let failure = error.failure();
        self.metrics.failed(KIND, failure.reason());
        tracing::warn!("the status of {KIND} {} cannot be written: {error}: {}", self.revision, failure.fix());
        failure
    }

    /// Writes these conditions, where one of them is different.
    async fn settle(&self, found: &[Value]) -> Result<(), WriteError> {
        // Before identities are served nothing is known, which is no reason to take back what was.
        if found.is_empty() {
            return Ok(());
        }
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", KIND), "meshrevisions");
        let objects = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        // There is none where a control plane runs without an operator.
        let Some(object) = timeout(PATIENCE, objects.get_opt(&self.revision)).await?? else { return Ok(()) };
        let seen = object.data.get("status").map_or(&[][..], |status| merge::list(status, "conditions"));
        let merged = conditions::merge(seen, found, &[]);
        if merged == seen {
            return Ok(());
        }
        let ours: Vec<_> = merged.into_iter().filter(is_found).collect();
        let body = json!({
            "apiVersion": resource.api_version, "kind": KIND, "metadata": {"name": self.revision},
            "status": {"conditions": ours},
        });
        let (parameters, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&body));
        timeout(PATIENCE, objects.patch_status(&self.revision, &parameters, &patch)).await??;
        self.metrics.wrote(KIND);
        Ok(())
    }
}

/// What is found now. Of which generation of the MeshRevision's spec its settings are, a control plane does not know.
fn found(world: &World) -> Vec<Value> {
    let status = world.installation_key().and_then(|key| world.status(&key).map(TimedStatus::to_json));
    let mut conditions = merge::list(&status.unwrap_or_default(), "conditions").to_vec();
    conditions.retain(is_found);
    conditions.iter_mut().filter_map(Value::as_object_mut).for_each(|fields| drop(fields.remove("observedGeneration")));
    conditions
}

fn is_found(condition: &Value) -> bool {
    condition["type"].as_str().is_some_and(|kind| FOUND_BY_CONTROL_PLANE.contains(&kind))
}

/// Resolves once something else may be found.
async fn changed(news: &mut Receiver<Arc<Applied>>) {
    loop {
        match news.recv().await {
            Ok(applied) if applied.statuses.iter().any(|key| key.kind == Kind::MeshInstallation) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}
