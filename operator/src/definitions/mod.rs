//! Our CustomResourceDefinitions: put in place where they are absent or older, left alone where they are newer or another's.

use crate::{
    condition::Verdict,
    context::Context,
    failure::Failure,
    kinds,
    names::{CRD_VERSION, MANAGER},
    release,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::{conditions, wait::await_condition},
};
use serde_json::Value;
use std::time::Duration;

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../../crds/", $name, ".yaml")))),*] };
}

/// Names and contents, as `cargo xtask crds` writes them.
const FILES: [(&str, &str); 6] = files![
    "meshinstallations.mesh.tombolo.dev",
    "meshrevisions.mesh.tombolo.dev",
    "meshrevisiontags.mesh.tombolo.dev",
    "serviceentries.networking.istio.io",
    "workloadentries.networking.istio.io",
    "workloadgroups.networking.istio.io",
];

/// What ours are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().map(|(name, _)| name)
}

/// What was found in the place of one of our definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Ours, of this version.
    Current,
    /// None, or an older one of ours: it was replaced.
    Replaced,
    /// One of a newer operator.
    Newer { name: String, version: String },
    /// One that is not ours, such as Istio's.
    Foreign { name: String },
}

/// Looks at the definition that is stored in the place of ours.
fn judge(name: &str, stored: Option<&DynamicObject>) -> Finding {
    let Some(stored) = stored else { return Finding::Replaced };
    match stored.annotations().get(CRD_VERSION) {
        None => Finding::Foreign { name: name.to_owned() },
        Some(version) if release::is_older(version, release::OWN) => Finding::Replaced,
        Some(version) if release::is_older(release::OWN, version) => {
            Finding::Newer { name: name.to_owned(), version: version.clone() }
        }
        Some(_) => Finding::Current,
    }
}

/// Puts our definitions in place, and notes what was found there.
pub(crate) async fn settle(context: &Context) -> Result<(), Failure> {
    let mut findings = Vec::new();
    for (name, file) in FILES {
        let stored = context.get(kinds::DEFINITION, name).await?;
        let finding = judge(name, stored.as_ref().map(|stored| &stored.object));
        if finding == Finding::Replaced {
            replace(context, name, file).await?;
        }
        findings.push(finding);
    }
    context.found_definitions(findings);
    Ok(())
}

/// Writes a definition and waits until the API server serves it.
async fn replace(context: &Context, name: &str, file: &str) -> Result<(), Failure> {
    let wanted: Value = serde_saphyr::from_str(file).unwrap_or_default(); // a test reads all of them
    let doing = format!("apply CustomResourceDefinition {name}");
    let definitions = kinds::DEFINITION.objects(&context.client, "");
    let parameters = PatchParams::apply(MANAGER).force();
    let patched = definitions.patch(name, &parameters, &Patch::Apply(wanted)).await;
    patched.map_err(|error| Failure::of_call(&doing, &error))?;
    tracing::info!(name, version = release::OWN, "applied a CustomResourceDefinition");
    let typed: Api<CustomResourceDefinition> = Api::all(context.client.clone());
    let established = await_condition(typed, name, conditions::is_crd_established());
    // Whoever reads it then fails by himself, and tries again.
    _ = tokio::time::timeout(Duration::from_secs(10), established).await;
    Ok(())
}

/// What is said of our definitions.
pub(crate) fn verdict(findings: &[Finding]) -> Verdict {
    let strange: Vec<String> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Newer { name, version } => Some(format!("{name} is of version {version}")),
            Finding::Foreign { name } => Some(format!("{name} is another's")),
            _ => None,
        })
        .collect();
    if strange.is_empty() {
        return Verdict::new("Definitions", true, "Current", format!("all are of version {}", release::OWN));
    }
    let newer = findings.iter().any(|finding| matches!(finding, Finding::Newer { .. }));
    let reason = if newer { "NewerVersion" } else { "ForeignOwner" };
    let message = format!(
        "left alone: {}; fields that they lack are refused or dropped by the API server: to have ours, delete theirs or annotate \
         them {CRD_VERSION}=0.0.0",
        strange.join(", ")
    );
    Verdict::new("Definitions", false, reason, message)
}

/// The newest bundle of the Gateway API that is known here.
const GATEWAY_API: &str = "1.6.3";

/// What is said of the Gateway API's definitions, by the bundle's version that stands at GatewayClass. They are never ours to install.
pub(crate) fn gateway_api(definition: Option<&DynamicObject>) -> Verdict {
    let bundle = definition.map(|definition| {
        let version = definition.annotations().get("gateway.networking.k8s.io/bundle-version");
        version.map_or("unknown", |version| version.trim_start_matches('v')).to_owned()
    });
    let fix = format!("install version {GATEWAY_API} of its CRDs");
    match bundle {
        None => Verdict::new("GatewayAPI", false, "Missing", format!("Gateways are not served: {fix}")),
        Some(version) if release::is_older(&version, GATEWAY_API) => {
            let message = format!("version {version} is older than {GATEWAY_API}: what it lacks is not served; {fix}");
            Verdict::new("GatewayAPI", false, "Outdated", message)
        }
        Some(version) => Verdict::new("GatewayAPI", true, "Installed", format!("version {version}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Truth;
    use serde_json::json;

    fn stored(annotations: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "a", "annotations": annotations}})).unwrap()
    }

    #[test]
    fn only_older_ones_of_ours_are_replaced() {
        let judged = |annotations: &Value| judge("a", Some(&stored(annotations)));
        assert_eq!(judge("a", None), Finding::Replaced);
        assert_eq!(judged(&json!({CRD_VERSION: "0.0.1"})), Finding::Replaced);
        assert_eq!(judged(&json!({CRD_VERSION: release::OWN})), Finding::Current);
        assert!(matches!(judged(&json!({CRD_VERSION: "99.0.0"})), Finding::Newer { .. }));
        assert!(matches!(judged(&json!({"helm.sh/resource-policy": "keep"})), Finding::Foreign { .. }));
    }

    #[test]
    fn what_is_left_alone_is_named() {
        assert_eq!(verdict(&[Finding::Current, Finding::Replaced]).truth, Truth::True);
        let foreign = Finding::Foreign { name: "serviceentries.networking.istio.io".to_owned() };
        let said = verdict(&[Finding::Current, foreign]);
        assert_eq!((said.truth, &*said.reason), (Truth::False, "ForeignOwner"));
        assert!(said.message.contains("serviceentries.networking.istio.io"));
    }

    #[test]
    fn every_file_is_one_of_ours() {
        for (name, file) in FILES {
            let definition: Value = serde_saphyr::from_str(file).unwrap();
            assert_eq!(definition["metadata"]["name"], name);
            assert_eq!(definition["metadata"]["annotations"][CRD_VERSION], release::OWN);
            serde_json::from_value::<CustomResourceDefinition>(definition).unwrap();
        }
    }

    #[test]
    fn an_absent_or_older_gateway_api_is_said() {
        let bundle = |version: &str| json!({"gateway.networking.k8s.io/bundle-version": version});
        assert_eq!(gateway_api(None).reason, "Missing");
        assert_eq!(gateway_api(Some(&stored(&bundle("v1.4.0")))).reason, "Outdated");
        assert_eq!(gateway_api(Some(&stored(&bundle("v1.6.3")))).truth, Truth::True);
    }
}
