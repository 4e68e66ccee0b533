//! What this control plane finds itself of how it is set up, in the status of its own MeshRevision: there the operator reads it, and
//! tells it on of the MeshInstallation.
//!
//! ```text
//! ControlPlane: what is found ─► RevisionWriter ─► MeshRevision ─► operator ─► MeshInstallation
//! ```
//!
//! Conditions of these types are the writer's, all others the operator's: each applies its own, which leaves the other's as they are.
//! The object is read where something else is found, and now and then: what somebody changed is put right then. It is written only where
//! it differs. While a replica of another revision holds the Lease, nobody keeps this revision's current, and they are taken back.

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
use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};
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
/// To the next look where nothing is known to have changed: somebody may have changed what was written, or have written for a moment.
const AGAIN: Duration = Duration::from_secs(300);

/// Writes what is found.
pub(crate) struct RevisionWriter {
    /// What finds it.
    pub(crate) plane: ControlPlane,
    /// How it is written.
    pub(crate) client: Client,
    /// The name of the MeshRevision, which need not be there.
    pub(crate) revision: String,
    /// Whether a replica of another revision writes.
    pub(crate) led_by_another: watch::Receiver<bool>,
    /// Counts.
    pub(crate) metrics: StatusMetrics,
}

/// The MeshRevision.
struct Seen {
    objects: Api<DynamicObject>,
    resource: ApiResource,
    version: Option<String>,
    conditions: Vec<Value>,
}

impl RevisionWriter {
    /// Writes while `writer` says so, until nobody can say so any more or the control plane stops.
    pub(crate) async fn run(self, mut writer: watch::Receiver<bool>) {
        self.plane.ready().await;
        loop {
            tokio::select! {
                biased;
                held = writer.wait_for(|held| *held) => if held.is_err() { return },
                () = self.plane.stopped() => return,
                () = self.yield_to_another() => {}
            }
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

    /// Takes back what is said of this revision while another's replica writes, until nobody can say so any more.
    async fn yield_to_another(&self) {
        let (mut led, mut failures) = (self.led_by_another.clone(), Backoff::default());
        while led.wait_for(|led| *led).await.is_ok() {
            if let Err(error) = self.take_back().await {
                sleep(failures.after(self.failed(&error))).await;
                continue;
            }
            failures.reset();
            _ = timeout(AGAIN, led.changed()).await;
        }
        pending::<()>().await;
    }

    async fn take_back(&self) -> Result<(), WriteError> {
        match self.see().await? {
            Some(seen) if seen.conditions.iter().any(is_found) => self.write(&seen, &[]).await,
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &WriteError) -> Failure {
        let failure = error.failure();
        if failure == Failure::Conflict {
            // All replicas of a revision take back the same at the same time; whoever was first may have said all.
            self.metrics.outrun(KIND);
            return failure;
        }
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
        // There is none where a control plane runs without an operator.
        let Some(seen) = self.see().await? else { return Ok(()) };
        let merged = conditions::merge(&seen.conditions, found, &[]);
        if merged == seen.conditions {
            return Ok(());
        }
        let ours: Vec<_> = merged.into_iter().filter(is_found).collect();
        self.write(&seen, &ours).await
    }

    async fn see(&self) -> Result<Option<Seen>, WriteError> {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", KIND), "meshrevisions");
        let objects = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let object = timeout(PATIENCE, objects.get_opt(&self.revision)).await??;
        Ok(object.map(|object| {
            let conditions = object.data.get("status").map_or(&[][..], |status| merge::list(status, "conditions"));
            Seen { objects, resource, version: object.metadata.resource_version, conditions: conditions.to_vec() }
        }))
    }

    /// Says this, and nothing else, of the object as it was seen.
    async fn write(&self, seen: &Seen, ours: &[Value]) -> Result<(), WriteError> {
        let body = json!({
            "apiVersion": seen.resource.api_version, "kind": KIND,
            "metadata": {"name": self.revision, "resourceVersion": seen.version},
            "status": {"conditions": ours},
        });
        let (parameters, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&body));
        timeout(PATIENCE, seen.objects.patch_status(&self.revision, &parameters, &patch)).await??;
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
