//! WorkloadGroup: what the WorkloadEntries that register from it have in common.

use super::{ReadinessProbe, WorkloadEntry, check_metadata};
use crate::{Object, Report, Spec, kubernetes::check};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::FieldPath;

/// `WorkloadGroup`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadGroup {
    /// Labels and annotations of its entries.
    #[serde(default)]
    pub metadata: WorkloadTemplate,
    /// What its entries inherit; no address.
    pub template: WorkloadEntry,
    /// How its workloads are probed. Agents act on it: without an agent it has no effect.
    #[serde(default)]
    pub probe: Option<ReadinessProbe>,
}

/// `WorkloadGroup.ObjectMeta`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkloadTemplate {
    /// Labels of its entries.
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Annotations of its entries.
    #[schemars(extend("maxProperties" = 256))]
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

impl Spec for WorkloadGroup {
    fn validate(object: &Object<Self>, report: &mut Report) {
        check_metadata(&object.metadata, report);
        let field = FieldPath::from("spec");
        let metadata = field.key("metadata");
        check::at_most(report, &metadata.key("labels"), object.spec.metadata.labels.len(), 256);
        check::at_most(report, &metadata.key("annotations"), object.spec.metadata.annotations.len(), 256);
        check::labels(report, &metadata.key("labels"), &object.spec.metadata.labels);
        let template = field.key("template");
        object.spec.template.check_limits(&template, report);
        if !object.spec.template.address.is_empty() {
            let message = "the address of a template has no effect: each workload registers with its own";
            report.warning(template.key("address"), "Ineffective", message, "remove it");
        }
        if let Some(probe) = &object.spec.probe {
            probe.check(&field.key("probe"), report);
        }
    }
}
