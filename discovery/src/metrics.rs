//! What watching is counted by.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tombolo_api::Kind;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

/// How watches fare. A handle: clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchMetrics {
    failures: Family<OfKind, Counter>,
    failing: Family<OfKind, Gauge>,
}

impl WatchMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_watch_failures", "Lists and watches that failed", self.failures.clone());
        registry.register("tombolo_watch_failing", "1 while a kind cannot be watched", self.failing.clone());
    }

    pub(crate) fn failed(&self, kind: Kind) {
        self.failures.get_or_create(&OfKind { kind: kind.name() }).inc();
        self.failing.get_or_create(&OfKind { kind: kind.name() }).set(1);
    }

    pub(crate) fn recovered(&self, kind: Kind) {
        self.failing.get_or_create(&OfKind { kind: kind.name() }).set(0);
    }
}
