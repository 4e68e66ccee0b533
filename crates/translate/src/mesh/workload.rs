//! Workloads outside Kubernetes: WorkloadEntries with what they inherit.

use crate::engine::{Built, Unit, View};
use std::sync::Arc;
use tombolo_api::{ObjectKey, istio::WorkloadEntry};

/// A WorkloadEntry with what it inherits from its WorkloadGroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload(pub ObjectKey);

/// A workload as services select it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRow {
    /// Everything, the group's template filled in; its labels are the effective ones.
    pub entry: WorkloadEntry,
}

impl Unit for Workload {
    type Output = Arc<WorkloadRow>;
    const RANK: u8 = 1;

    fn build(&self, _view: &View<'_>) -> Option<Built<Self::Output>> {
        None
    }
}
