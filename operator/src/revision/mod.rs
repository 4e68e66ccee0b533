//! MeshRevision: one control plane and all that it runs on.

mod apply;
mod build;
mod dereference;
mod health;
mod replicas;
mod status;
mod validate;

pub(crate) use build::ports;
pub(crate) use validate::{Settings, release, settings};

use crate::{
    context::Context,
    controller::{Outcome, Reconciler},
    failure::Failure,
    kinds::{self, Kind},
};
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use tombolo_api::mesh::MeshRevisionStatus;

/// Makes of a MeshRevision what it runs on.
pub(crate) enum Revision {}

impl Reconciler for Revision {
    const KIND: Kind = kinds::REVISION;
    const CONDITIONS: &'static [&'static str] = &["Degraded", "InUse", "Progressing", "Ready"];
    type Status = MeshRevisionStatus;

    fn namespace(object: &DynamicObject) -> Option<&str> {
        object.data.pointer("/spec/namespace")?.as_str()
    }

    async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Outcome<MeshRevisionStatus>, Failure> {
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome { status: crate::status::of(object), verdicts: Vec::new(), again: None });
        }
        let revision = validate::check(object, context.namespace(), &context.registry)?;
        let seen = dereference::read(context, &revision).await?;
        let wanted = build::objects(&revision, &seen);
        let applied = apply::apply(context, &revision, &seen, &wanted).await?;
        let pods = dereference::pods(context, &revision, &applied).await?;
        Ok(status::outcome(object, &revision, &seen, &applied, &pods, Timestamp::now()))
    }
}
