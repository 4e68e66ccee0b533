//! What agents say of their workloads' health, and the condition that people see of it.

use super::Workload;
use crate::{
    engine::{Built, Emits, Fact, Relation, Unit, View},
    status::{Condition, Status},
};
use std::sync::Arc;
use tombolo_api::{ObjectKey, istio::WorkloadEntry};

/// What an agent found of its workload: healthy, or why not.
pub type Verdict = Result<(), Arc<str>>;

/// The last word on a workload; `None` where nothing was said. Of several, as while one replaces the other, the worst.
pub(super) fn verdict<'a>(view: &View<'a>, workload: &ObjectKey) -> Option<&'a Verdict> {
    let verdicts = view.relation(Relation::Health(workload.clone())).filter_map(|fact| match fact {
        Fact::Health(verdict) => Some(verdict),
        _ => None,
    });
    verdicts.max()
}

/// The status of a WorkloadEntry: whether its workload is healthy. Nothing where nobody probes it and nobody has reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadStatus(pub ObjectKey);

impl Unit for WorkloadStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let entry = view.object::<WorkloadEntry>(&self.0)?;
        let row = view.unit(&Workload(self.0.clone()))?;
        let mut emits = Emits::default();
        if let Some(healthy) = condition(verdict(view, &self.0), row.probe.is_some(), entry.metadata.generation) {
            emits.status(self.0.clone(), Status::Conditions { conditions: vec![healthy] });
        }
        Some(Built { output: (), emits })
    }
}

/// As Istio writes it: `Healthy`, and where it is not the probe's error as the message.
fn condition(verdict: Option<&Verdict>, probed: bool, generation: i64) -> Option<Condition> {
    const KIND: &str = "Healthy";
    match verdict {
        Some(Ok(())) => Some(Condition::yes(KIND, "Healthy", "", generation)),
        Some(Err(why)) => Some(Condition::no(KIND, "Unhealthy", &**why, generation)),
        None if probed => {
            let message = "its agent has not reported yet; until it does, the workload counts as healthy";
            Some(Condition::yes(KIND, "NotReported", message, generation))
        }
        None => None,
    }
}
