//! Our CustomResourceDefinitions: put in place where they are absent or older, left alone where they are newer or another's.

mod defined;
mod gateway_api;
mod keep;

pub(crate) use defined::Defined;
pub(crate) use gateway_api::GatewayApi;
#[cfg(test)]
pub(crate) use gateway_api::tests::with as gateway_api_with;
pub(crate) use keep::keep;

use crate::{
    condition::Verdict,
    context::Context,
    failure::{A_CALL, Failure, within},
    kinds,
    names::{CRD_VERSION, MANAGER},
    release,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::collections::HashMap;

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../../crds/", $name, ".yaml")))),*] };
}

/// Names and contents, as `cargo xtask crds` writes them.
pub(crate) const FILES: [(&str, &str); 6] = files![
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

/// What there is of our definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// What was found last; nothing until all were looked at.
    findings: Vec<Finding>,
    /// Why not all are as they should be, if that lasts.
    failure: Option<Failure>,
    /// How often the Gateway API's changed.
    gateway_api: u64,
}

impl State {
    /// Whether all were looked at, or it is known why not.
    pub(crate) fn is_known(&self) -> bool {
        self.failure.is_some() || !self.findings.is_empty()
    }
}

/// Which generations of our definitions are as they should be, by uid.
type Intact = HashMap<String, i64>;

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

/// Puts our definitions in place; what was found there. One that fails keeps none of the others from it.
async fn settle(context: &Context, intact: &mut Intact) -> Result<Vec<Finding>, Failure> {
    let (mut findings, mut failed) = (Vec::new(), None);
    for (name, file) in FILES {
        let doing = format!("put CustomResourceDefinition {name} in place");
        match within(A_CALL, &doing, Box::pin(settle_one(context, name, file, intact))).await {
            Ok(finding) => findings.push(finding),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(findings), Err)
}

async fn settle_one(context: &Context, name: &str, file: &str, intact: &mut Intact) -> Result<Finding, Failure> {
    let wanted: Value = serde_saphyr::from_str(file).unwrap_or_default(); // a test reads all of them
    let stored = context.get(kinds::DEFINITION, name).await?.map(|stored| stored.object);
    let finding = judge(name, stored.as_ref());
    let settled = match (&finding, &stored) {
        (Finding::Replaced, _) => false,
        (Finding::Current, Some(stored)) => {
            is_known(stored, intact) || covers(&json!({"spec": stored.data["spec"]}), &json!({"spec": wanted["spec"]}))
        }
        _ => true,
    };
    if !settled {
        let stored = apply(context, name, &wanted).await?;
        // What the API server made of it is as good as it gets.
        intact.insert(stored.uid().unwrap_or_default(), stored.metadata.generation.unwrap_or_default());
    }
    Ok(finding)
}

fn is_known(stored: &DynamicObject, intact: &Intact) -> bool {
    let known = stored.metadata.uid.as_ref().and_then(|uid| intact.get(uid));
    known.is_some_and(|generation| Some(*generation) == stored.metadata.generation)
}

/// Whether all that is wanted is there. The API server leaves out what is empty, and fills in what is not said.
fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| covers(stored.get(name).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len() && stored.iter().zip(wanted).all(|(stored, wanted)| covers(stored, wanted))
        }
        (Value::Null, wanted) => is_empty(wanted),
        (Value::Number(stored), Value::Number(wanted)) => stored.as_f64() == wanted.as_f64(),
        (stored, wanted) => stored == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Writes a definition.
async fn apply(context: &Context, name: &str, wanted: &Value) -> Result<DynamicObject, Failure> {
    let definitions = kinds::DEFINITION.objects(&context.client, "");
    let parameters = PatchParams::apply(MANAGER).force();
    let patched = definitions.patch(name, &parameters, &Patch::Apply(wanted)).await;
    let patched =
        patched.map_err(|error| Failure::of_call(&format!("apply CustomResourceDefinition {name}"), &error))?;
    tracing::info!(name, version = release::OWN, "applied a CustomResourceDefinition");
    Ok(patched)
}

/// What is said of our definitions; nothing before they were looked at.
pub(crate) fn verdict(state: &State) -> Option<Verdict> {
    if let Some(failure) = &state.failure {
        return Some(Verdict::new("Definitions", false, failure.reason, &failure.message).alarming());
    }
    (!state.findings.is_empty()).then(|| of_findings(&state.findings))
}

fn of_findings(findings: &[Finding]) -> Verdict {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Truth;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

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
        assert_eq!(of_findings(&[Finding::Current, Finding::Replaced]).truth, Truth::True);
        let foreign = Finding::Foreign { name: "serviceentries.networking.istio.io".to_owned() };
        let said = of_findings(&[Finding::Current, foreign]);
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
    fn a_change_of_ours_is_seen_and_what_the_api_server_adds_is_none() {
        for (name, file) in FILES {
            let wanted: Value = serde_saphyr::from_str(file).unwrap();
            // What comes of it in the types that the API server keeps, and what it fills in.
            let typed: CustomResourceDefinition = serde_json::from_value(wanted.clone()).unwrap();
            let mut stored = serde_json::to_value(typed).unwrap();
            stored["spec"]["conversion"] = json!({"strategy": "None"});
            assert!(covers(&stored["spec"], &wanted["spec"]), "{name}");
            let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
            for change in [json!({"type": "object"}), Value::Null] {
                let mut changed = stored.clone();
                *changed.pointer_mut(schema).unwrap() = change;
                assert!(!covers(&changed["spec"], &wanted["spec"]), "{name}");
            }
            stored["spec"]["versions"][0]["served"] = false.into();
            assert!(!covers(&stored["spec"], &wanted["spec"]), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let failure = Failure::of_user("MissingPermission", "cannot apply CustomResourceDefinition a: no");
        assert_eq!(verdict(&State::default()), None, "nobody looked");
        let state = State { findings: vec![Finding::Current], failure: Some(failure), gateway_api: 0 };
        let said = verdict(&state).unwrap();
        assert_eq!((said.truth, &*said.reason, said.alarming), (Truth::False, "MissingPermission", true));
    }
}
