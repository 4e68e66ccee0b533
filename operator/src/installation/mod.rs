//! MeshInstallation: a mesh's revisions, its default tag, and what all share.

mod apply;
mod build;
mod deletion;
mod dereference;
mod status;
mod validate;

use crate::{
    context::Context,
    controller::{Outcome, Reconciler},
    failure::Failure,
    kinds::{self, Kind},
};
use kube::api::DynamicObject;
use serde_json::Value;
use tombolo_api::mesh::{CERTIFICATE_AUTHORITY_READY, MeshInstallationStatus, TRUST_DOMAIN_IN_EFFECT};

/// Makes of a MeshInstallation its revisions and tags.
pub(crate) enum Installation {}

impl Reconciler for Installation {
    const KIND: Kind = kinds::INSTALLATION;
    const CONDITIONS: &'static [&'static str] = &[
        CERTIFICATE_AUTHORITY_READY,
        "Definitions",
        "Degraded",
        "GatewayAPI",
        "Progressing",
        "Ready",
        "SettingsInEffect",
        TRUST_DOMAIN_IN_EFFECT,
    ];
    type Status = MeshInstallationStatus;

    async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Outcome<MeshInstallationStatus>, Failure> {
        if object.metadata.deletion_timestamp.is_some() {
            return deletion::reconcile(object, context).await;
        }
        deletion::settle_finalizer(object, context).await?;
        let seen = dereference::read(object, context).await?;
        let installation = validate::check(object, &seen, context)?;
        let wanted = build::objects(&installation, &seen);
        let applied = apply::apply(context, &installation, &seen, &wanted).await?;
        Ok(status::outcome(&installation, &applied, &seen, &context.definitions.borrow()))
    }
}

/// Where its control planes are, whatever else the spec says.
fn namespace(object: &DynamicObject) -> &str {
    object.data.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or("tombolo-system")
}
