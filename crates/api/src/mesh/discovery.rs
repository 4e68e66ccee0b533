//! How control planes are run.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// How the Deployment of each control plane is made. What is Kubernetes' own (affinity, tolerations, …) is handed on as it
/// is written, and checked by the API server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.replicas) && has(self.autoscaling))",
    "message": "replicas and autoscaling exclude each other",
}]))]
pub struct Discovery {
    /// How many replicas; 2 where absent. Not beside `autoscaling`.
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,
    /// What each replica asks for and may use.
    pub resources: Resources,
    /// Replicas by load. Switching it on or off leaves the number of replicas as it is, where `replicas` names no other.
    pub autoscaling: Option<Autoscaling>,
    /// Whether a NetworkPolicy closes all ports but those that proxies, the API server, the kubelet and scrapers use; false
    /// where absent. Metrics and debug pages are then open to the control plane's own namespace, and to namespaces with the
    /// label `mesh.tombolo.dev/monitoring: "true"`.
    pub network_policy: bool,
    /// Labels that nodes must have.
    pub node_selector: BTreeMap<Arc<str>, Arc<str>>,
    /// `Affinity` of the pods.
    pub affinity: BTreeMap<Arc<str>, Value>,
    /// `Toleration`s of the pods.
    pub tolerations: Vec<BTreeMap<Arc<str>, Value>>,
    /// `TopologySpreadConstraint`s of the pods.
    pub topology_spread_constraints: Vec<BTreeMap<Arc<str>, Value>>,
    /// `PriorityClass` of the pods.
    pub priority_class_name: Option<Arc<str>>,
    /// Labels of the pods, besides the operator's.
    pub pod_labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Annotations of the pods, besides the operator's.
    pub pod_annotations: BTreeMap<Arc<str>, Arc<str>>,
}

/// `ResourceRequirements`: quantities as Kubernetes writes them (`500m`, `1Gi`) by resource (`cpu`, `memory`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// What is set aside.
    pub requests: BTreeMap<Arc<str>, Quantity>,
    /// What is never exceeded.
    pub limits: BTreeMap<Arc<str>, Quantity>,
}

/// A quantity as Kubernetes writes it: `2`, `500m`, `1.5Gi`, `1e3`. Kept as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity(Arc<str>);

impl Quantity {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What [`Quantity`]s look like: negative ones are none here.
fn is_quantity(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let digits = |e: &str| (1..=2).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_digit());
    let exponent =
        |unit: &str| unit.strip_prefix(['e', 'E']).is_some_and(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    number.parse::<f64>().is_ok() && (known.contains(&unit) || exponent(unit))
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(d)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let error = || D::Error::custom(format!("{value} is not a quantity: write it as 500m or 1Gi"));
        is_quantity(&text).then(|| Self(text.into())).ok_or_else(error)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$",
            "x-kubernetes-int-or-string": true,
        })
    }
}

/// Replicas by load.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.maxReplicas >= (has(self.minReplicas) ? self.minReplicas : 2)",
    "message": "maxReplicas is less than minReplicas",
}]))]
pub struct Autoscaling {
    /// The fewest; 2 where absent.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub min_replicas: u32,
    /// The most; at least `minReplicas`.
    #[schemars(range(min = 1))]
    pub max_replicas: u32,
    /// The load that is aimed at, in percent of the requested CPU; 80 where absent.
    #[serde(default = "eighty")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu_percent: u32,
}

fn two() -> u32 {
    2
}

fn eighty() -> u32 {
    80
}
