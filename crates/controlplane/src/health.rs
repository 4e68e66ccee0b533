//! Health reports of agents, and which of them count.
//!
//! The last word on a workload stays when its stream ends: machines reconnect, and a mesh must not flap with them.

#[cfg(test)]
mod tests;

use crate::{
    World,
    classify::runs_as,
    graph::{Command, Commands},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;
use tombolo_api::ObjectKey;
use tombolo_core::{InstanceId, NamespacedName, ProxyId, ProxyKind};
use tombolo_translate::{
    engine::{Answer, Fact, Relation},
    mesh::Verdict,
};
use tombolo_xds::{Health, Peer, Refusal, TakeHealth, TakingHealth};

/// A report, and who made it.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// The WorkloadEntry whose workload it is about.
    pub workload: NamespacedName,
    /// Who the caller proved to be; `None` on a port that asks nobody.
    pub peer: Option<Peer>,
    /// What is said.
    pub health: Health,
}

/// Hands reports to the graph thread.
pub(crate) struct HealthPort(pub(crate) Commands);

impl TakeHealth for HealthPort {
    fn take(&self, node: &str, peer: Option<&Peer>, health: Health) -> TakingHealth {
        let workload = node.parse().ok().filter(|id: &ProxyId| id.kind == ProxyKind::Sidecar).map(|id| id.name);
        let Some(workload) = workload else { return Box::pin(std::future::ready(Ok(None))) };
        let (commands, report) = (self.0.clone(), HealthReport { workload, peer: peer.cloned(), health });
        Box::pin(async move {
            let (reply, counted) = oneshot::channel();
            let stopped = |_| Refusal::Unavailable(crate::Stopped.to_string());
            commands.send(Command::Health(report, reply)).await.map_err(stopped)?;
            counted.await.map_err(|_| stopped(crate::Stopped))
        })
    }
}

impl HealthReport {
    /// True where the caller may speak for the workload: it runs as the workload's ServiceAccount in its namespace. A node id can
    /// say anything.
    pub(crate) fn is_covered(&self, world: &World) -> bool {
        self.peer.as_ref().is_none_or(|Peer { id, .. }| {
            self.workload.namespace == id.namespace && runs_as(world, &self.workload, &id.service_account)
        })
    }
}

/// What was last said of each workload, and by whom.
#[derive(Debug, Default)]
pub(crate) struct HealthBook(BTreeMap<ObjectKey, Word>);

/// The newest report of a workload.
#[derive(Debug)]
struct Word {
    instance: Option<InstanceId>,
    sequence: Option<u64>,
    verdict: Verdict,
}

impl HealthBook {
    /// Takes in a report of a workload. Returns the number of the newest that counts, and what translation is to be told.
    ///
    /// Numbers are an instance's own: a machine that was made anew counts from the beginning, and its word counts.
    pub(crate) fn take(&mut self, key: &ObjectKey, report: &HealthReport) -> (Option<u64>, Answer) {
        let Health { sequence, healthy } = &report.health;
        let instance = report.peer.as_ref().and_then(|peer| peer.instance.clone());
        let mut told = Answer::default();
        let old = self.0.get(key);
        if let Some(newest) = old.filter(|old| old.instance == instance).and_then(|old| old.sequence)
            && sequence.is_some_and(|sequence| sequence < newest)
        {
            return (Some(newest), told);
        }
        let verdict: Verdict = healthy.clone().map_err(Arc::from);
        if old.is_none_or(|old| old.verdict != verdict) {
            told.facts.push(fact(key, verdict.clone()));
            told.withdrawn.extend(old.map(|old| fact(key, old.verdict.clone())));
        }
        self.0.insert(key.clone(), Word { instance, sequence: *sequence, verdict });
        (*sequence, told)
    }

    /// The workload is no more, and what was said of it.
    pub(crate) fn forget(&mut self, key: &ObjectKey) -> Option<(Relation, Fact)> {
        self.0.remove(key).map(|word| fact(key, word.verdict))
    }
}

fn fact(key: &ObjectKey, verdict: Verdict) -> (Relation, Fact) {
    (Relation::Health(key.clone()), Fact::Health(verdict))
}
