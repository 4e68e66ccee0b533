//! Counters of the graph thread.

use crate::Applied;
use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

/// What the graph thread has done. Clones share their counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    changes: Counter,
    units: Counter,
    resources: Counter,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        // From 10 µs, one unit, to 10 s, a cold start of a large mesh.
        let seconds = Histogram::new([1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]);
        Self { changes: Counter::default(), units: Counter::default(), resources: Counter::default(), seconds }
    }
}

impl Metrics {
    /// Shows the counters at every scrape.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_changes", "Changes of inputs taken in", self.changes.clone());
        registry.register("tombolo_units_built", "Units of translation built", self.units.clone());
        registry.register("tombolo_resources_changed", "Resources that came out different", self.resources.clone());
        registry.register("tombolo_change_seconds", "From a change to resources ready to send", self.seconds.clone());
    }

    pub(crate) fn count(&self, applied: &Applied) {
        self.changes.inc();
        self.units.inc_by(applied.units as u64);
        self.resources.inc_by(applied.resources.values().flat_map(|types| types.values()).sum::<usize>() as u64);
        self.seconds.observe(applied.took.as_secs_f64());
    }
}
