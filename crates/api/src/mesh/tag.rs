//! MeshRevisionTag: a stable name for revisions.

use super::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `MeshRevisionTagSpec`: the revisions that proxies bound to this tag use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.targets.map(t, t.weight).sum() == 100", "message": "the weights of all targets are 100 together"},
]))]
pub struct MeshRevisionTag {
    /// Which revisions, and what share of the proxies each has.
    #[schemars(length(min = 1, max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["revision"]))]
    pub targets: Vec<TagTarget>,
}

/// One revision of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagTarget {
    /// The name of a MeshRevision.
    #[schemars(length(min = 1, max = 45))]
    pub revision: Arc<str>,
    /// Its share of the proxies, in percent.
    #[schemars(range(max = 100))]
    pub weight: u32,
}

/// `MeshRevisionTagStatus`, written by the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshRevisionTagStatus {
    /// The generation of the spec that this is about.
    pub observed_generation: i64,
    /// `Ready`, `Progressing`, `Degraded` and `Admission`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The revision that new proxies come to: the one of the greatest weight.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Where proxies find it: the DNS name of the tag's Service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}
