//! The Gateway API's definitions: never ours to install. What is there of them is said.

use super::defined::is_served;
use crate::{
    apply::Live,
    condition::{Truth, Verdict},
    context::Context,
    failure::Failure,
    kinds, release,
};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// The newest bundle that is known here.
const NEWEST: &str = "1.6.3";
/// Which version of the Gateway API a definition is of.
const BUNDLE: &str = "gateway.networking.k8s.io/bundle-version";

/// The kinds that control planes read.
const NAMES: [&str; 4] = ["gatewayclasses", "gateways", "httproutes", "referencegrants"];

/// What there is of the definitions that control planes need.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatewayApi(Vec<(&'static str, Option<Live>)>);

impl GatewayApi {
    pub(crate) async fn read(context: &Context) -> Result<Self, Failure> {
        let read = NAMES.map(|name| async move {
            let definition = context.get(kinds::DEFINITION, &format!("{name}.gateway.networking.k8s.io")).await?;
            Ok((name, definition.filter(is_usable)))
        });
        Ok(Self(futures::future::try_join_all(read).await?))
    }

    /// True where there can be GatewayClasses.
    pub(crate) fn has_classes(&self) -> bool {
        self.0.iter().any(|(name, definition)| *name == kinds::GATEWAY_CLASS.plural() && definition.is_some())
    }

    /// Those that are there and of such a version, if they say one.
    fn names(&self, which: impl Fn(Option<&str>) -> bool) -> String {
        let found = self.0.iter().filter(|(_, live)| live.as_ref().is_some_and(|live| which(version(live))));
        found.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn versions(&self) -> String {
        let versions: BTreeSet<_> = self.0.iter().filter_map(|(_, live)| version(live.as_ref()?)).collect();
        versions.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// What is said of them.
    pub(crate) fn verdict(&self) -> Verdict {
        let fix = format!("install version {NEWEST} of its CRDs");
        let missing: Vec<_> = self.0.iter().filter(|(_, live)| live.is_none()).map(|(name, _)| *name).collect();
        if missing.len() == self.0.len() {
            return Verdict::new("GatewayAPI", false, "Missing", format!("Gateways are not served: {fix}"));
        }
        if !missing.is_empty() {
            let message = format!("there are no {}: what they are for is not served; {fix}", missing.join(", "));
            return Verdict::new("GatewayAPI", false, "Missing", message);
        }
        let older = self.names(|version| version.is_some_and(|version| release::is_older(version, NEWEST)));
        if !older.is_empty() {
            let message = format!("{older} are older than {NEWEST}: what they lack is not served; {fix}");
            return Verdict::new("GatewayAPI", false, "Outdated", message);
        }
        let unknown = self.names(|version| version.is_none_or(|version| !release::is_version(version)));
        if !unknown.is_empty() {
            let message = format!(
                "{unknown} do not say which version they are of, by annotation {BUNDLE}; what they lack is not served; {fix}"
            );
            return Verdict::new("GatewayAPI", Truth::Unknown, "UnknownVersion", message);
        }
        Verdict::new("GatewayAPI", true, "Installed", format!("version {}", self.versions()))
    }
}

/// True where objects can be made: before it is served, and once it is deleted, the API server takes none.
fn is_usable(definition: &Live) -> bool {
    is_served(&definition.object) && definition.object.metadata.deletion_timestamp.is_none()
}

fn version(definition: &Live) -> Option<&str> {
    definition.object.annotations().get(BUNDLE).map(|version| version.trim_start_matches('v'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Definitions with these annotations, by their names; the others of this version.
    pub(crate) fn with(exceptions: &[(&str, Option<Value>)]) -> GatewayApi {
        let definition = |name| {
            let exception = exceptions.iter().find(|(of, _)| *of == name).map(|(_, annotations)| annotations.clone());
            let annotations = exception.unwrap_or_else(|| Some(json!({BUNDLE: format!("v{NEWEST}")})))?;
            let object = json!({"metadata": {"name": name, "annotations": annotations}});
            Some(Live { kind: kinds::DEFINITION, object: serde_json::from_value(object).unwrap() })
        };
        GatewayApi(NAMES.map(|name| (name, definition(name))).into())
    }

    #[tokio::test]
    async fn there_can_be_classes_while_their_definition_is_served_and_stays() {
        let has_classes = async |established: &str, metadata: Value| {
            let mut metadata = metadata;
            metadata["name"] = "gatewayclasses.gateway.networking.k8s.io".into();
            let api = crate::scripted::Api::default();
            let conditions = json!([{"type": "Established", "status": established}]);
            api.put(crate::scripted::DEFINITIONS, json!({"metadata": metadata, "status": {"conditions": conditions}}));
            let metrics = crate::metrics::Metrics::default();
            let context = Context::new(api.client(), "me".to_owned(), Vec::new(), "r".to_owned(), metrics);
            GatewayApi::read(&context).await.unwrap().has_classes()
        };
        assert!(has_classes("True", json!({})).await);
        assert!(!has_classes("False", json!({})).await);
        assert!(!has_classes("True", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})).await);
    }

    #[test]
    fn all_of_them_are_looked_at() {
        let said = |exceptions: &[(&str, Option<Value>)]| {
            let verdict = with(exceptions).verdict();
            (verdict.truth.as_str(), verdict.reason, verdict.message)
        };
        assert_eq!(said(&[]).1, "Installed");
        assert_eq!(said(&NAMES.map(|name| (name, None))).1, "Missing");
        for name in NAMES {
            let (truth, reason, message) = said(&[(name, None)]);
            assert_eq!((truth, &*reason), ("False", "Missing"));
            assert!(message.contains(&format!("no {name}:")), "{message}");
            let (truth, reason, message) = said(&[(name, Some(json!({BUNDLE: "v1.4.0"})))]);
            assert_eq!((truth, &*reason), ("False", "Outdated"));
            assert!(message.starts_with(name), "{message}");
            let (truth, reason, message) = said(&[(name, Some(json!({})))]);
            assert_eq!((truth, &*reason), ("Unknown", "UnknownVersion"));
            assert!(message.starts_with(name), "{message}");
            assert_eq!(said(&[(name, Some(json!({BUNDLE: "main"})))]).0, "Unknown");
            assert_eq!(said(&[(name, Some(json!({BUNDLE: "v9.0.0"})))]).0, "True");
        }
        assert!(!with(&[("gatewayclasses", None)]).has_classes() && with(&[]).has_classes());
    }
}
