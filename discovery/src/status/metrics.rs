//! What writing statuses is counted by.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    kind: &'static str,
    reason: &'static str,
}

/// How writing fares. A handle: clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusMetrics {
    writes: Family<OfKind, Counter>,
    conflicts: Family<OfKind, Counter>,
    errors: Family<OfReason, Counter>,
    waiting: Gauge,
    writer: Gauge,
}

impl StatusMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_status_writes", "Statuses written", self.writes.clone());
        registry.register("tombolo_status_conflicts", "Writes that somebody else was before", self.conflicts.clone());
        registry.register("tombolo_status_errors", "Writes that failed, by reason", self.errors.clone());
        registry.register("tombolo_status_waiting", "Objects whose status is not settled", self.waiting.clone());
        registry.register("tombolo_status_writer", "1 where this replica writes statuses", self.writer.clone());
    }

    pub(super) fn wrote(&self, kind: &'static str) {
        self.writes.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn outrun(&self, kind: &'static str) {
        self.conflicts.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn failed(&self, kind: &'static str, reason: &'static str) {
        self.errors.get_or_create(&OfReason { kind, reason }).inc();
    }

    pub(super) fn waiting(&self, objects: usize) {
        self.waiting.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    pub(super) fn writes_here(&self, here: bool) {
        self.writer.set(here.into());
    }
}
