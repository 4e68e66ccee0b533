//! MeshRevisionTag: the address that proxies are bound to, and that reviews what is written.

mod admission;
mod apply;
mod build;
mod dereference;
mod status;
mod validate;

pub(crate) use admission::SHOWN;

use crate::{
    context::Context,
    controller::{Outcome, Reconciler},
    failure::Failure,
    kinds::{self, Kind},
};
use kube::api::DynamicObject;
use tombolo_api::mesh::MeshRevisionTagStatus;

/// Makes of a MeshRevisionTag its Service and its webhook.
pub(crate) enum Tag {}

impl Reconciler for Tag {
    const KIND: Kind = kinds::TAG;
    const CONDITIONS: &'static [&'static str] = &["Admission", "Degraded", "Progressing", "Ready"];
    /// Attempts to make its webhook.
    const BESIDE: Kind = kinds::VALIDATING_WEBHOOK;
    type Status = MeshRevisionTagStatus;

    async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Outcome<MeshRevisionTagStatus>, Failure> {
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome { status: crate::status::of(object), verdicts: Vec::new(), again: None });
        }
        let spec = validate::read(object)?;
        let seen = dereference::read(object, &spec, context).await?;
        let tag = validate::check(object, &spec, &seen)?;
        let wanted = build::service(&tag);
        if let Err(failure) = apply::apply(context, &tag, &seen, &wanted).await {
            return Err(context.explained(failure, &tag.namespace).await);
        }
        let admission = admission::settle(context, &tag).await;
        Ok(status::outcome(&tag, admission))
    }
}
