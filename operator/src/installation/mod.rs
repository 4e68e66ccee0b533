//! MeshInstallation: a mesh's revisions, its default tag, and what all share.

mod apply;
mod build;
mod deletion;
mod dereference;
mod found;
mod status;
mod validate;

use crate::{
    context::Context,
    controller::{Outcome, Reconciler},
    failure::Failure,
    kinds::{self, Kind},
};
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;
use tombolo_api::mesh::{
    CERTIFICATE_AUTHORITY_READY, MeshInstallationStatus, ROOT_CERTIFICATE_PUBLISHED, TRUST_DOMAIN_IN_EFFECT,
};

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
        ROOT_CERTIFICATE_PUBLISHED,
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
        let told = status::Told {
            before: &crate::status::of(object),
            definitions: &context.definitions.borrow(),
            proxies: &context.proxies.borrow(),
            now: Timestamp::now(),
        };
        Ok(status::outcome(&installation, &applied, &seen, &told))
    }
}

/// Where its control planes are, whatever else the spec says.
fn namespace(object: &DynamicObject) -> &str {
    object.data.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or("tombolo-system")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{condition::Verdict, metrics::Metrics, scripted::Api, status};
    use serde_json::json;
    use tombolo_api::mesh::FOUND_BY_CONTROL_PLANE;

    #[tokio::test]
    async fn what_its_control_plane_found_is_written_once() {
        let api = Api::default();
        let context = Context::new(api.client(), "me".to_owned(), Vec::new(), "r".to_owned(), Metrics::default());
        let found = FOUND_BY_CONTROL_PLANE.map(|about| Verdict::new(about, true, "A", ""));
        let mut object: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
        let write = async |object: &DynamicObject| {
            let status = MeshInstallationStatus::default();
            status::write(&context, Installation::KIND, object, status, &found, Installation::CONDITIONS)
                .await
                .unwrap();
        };
        write(&object).await;
        let written = api.written();
        let mut status = written.iter().find(|(what, _)| what.ends_with("/status")).unwrap().1["status"].clone();
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"] = "2026-01-01T00:00:00Z".into();
        }
        object.data["status"] = status;
        write(&object).await;
        assert_eq!(api.written(), written, "nothing is new, so that nobody is told");
    }
}
