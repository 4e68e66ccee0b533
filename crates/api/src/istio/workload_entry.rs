//! WorkloadEntry: one workload outside Kubernetes, such as a virtual machine.

use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::Port;

/// `WorkloadEntry`, also inline as an endpoint of a ServiceEntry and as the template of a WorkloadGroup.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// An IP, a name (with DNS resolutions), or `unix:///path`.
    pub address: Arc<str>,
    /// Its port for each named port of a service, where it differs.
    pub ports: BTreeMap<Arc<str>, Port>,
    /// Its labels, besides those of its metadata.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Networks whose workloads reach each other directly have one name.
    pub network: Arc<str>,
    /// `region/zone/subzone`
    pub locality: Arc<str>,
    /// Its share of traffic, relative to the other endpoints'.
    pub weight: u32,
    /// Whose identity it has.
    pub service_account: Arc<str>,
}

impl Spec for WorkloadEntry {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
