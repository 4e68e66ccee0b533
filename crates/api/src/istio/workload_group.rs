//! WorkloadGroup: what the WorkloadEntries that register from it have in common.

use super::WorkloadEntry;
use crate::{Object, Report, Spec, Unsupported};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// `WorkloadGroup`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    /// Labels and annotations of its entries.
    pub metadata: WorkloadTemplate,
    /// What its entries inherit; no address.
    pub template: WorkloadEntry,
    /// How its workloads are probed: read, and acted on by agents.
    pub probe: Option<Unsupported>,
}

/// `WorkloadGroup.ObjectMeta`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WorkloadTemplate {
    /// Labels of its entries.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Annotations of its entries.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

impl Spec for WorkloadGroup {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
