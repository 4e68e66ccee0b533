//! What reconciling is counted by.

use crate::kinds::Kind;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    controller: &'static str,
    reason: String,
}

/// How reconciling fares. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    reconciles: Family<Controller, Counter>,
    errors: Family<Because, Counter>,
    events: Family<Because, Counter>,
    durations: Family<Controller, Histogram>,
    running: Family<Controller, Gauge>,
    retrying: Family<Controller, Gauge>,
    queued: Family<Controller, Gauge>,
    waited: Family<Controller, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.005, 2.0, 12));
        Self {
            reconciles: Family::default(),
            errors: Family::default(),
            events: Family::default(),
            durations: Family::new_with_constructor(histogram),
            running: Family::default(),
            retrying: Family::default(),
            queued: Family::default(),
            waited: Family::new_with_constructor(histogram),
        }
    }
}

/// A reconciliation that is under way: it is counted until this is dropped.
pub(crate) struct Running {
    metrics: Metrics,
    controller: Controller,
    since: Instant,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_operator_reconciles", "Reconciliations that ended", self.reconciles.clone());
        registry.register("tombolo_operator_errors", "Reconciliations that failed, by reason", self.errors.clone());
        registry.register("tombolo_operator_events", "Events written, by reason", self.events.clone());
        let help = "How long reconciliations take, in seconds";
        registry.register("tombolo_operator_reconcile_duration_seconds", help, self.durations.clone());
        registry.register("tombolo_operator_reconciling", "Reconciliations under way", self.running.clone());
        registry.register("tombolo_operator_retrying", "Objects that wait for another attempt", self.retrying.clone());
        registry.register("tombolo_operator_queue_depth", "Objects that wait for their turn", self.queued.clone());
        let help = "How long objects waited for their turn, in seconds";
        registry.register("tombolo_operator_queue_duration_seconds", help, self.waited.clone());
    }

    /// A reconciliation begins.
    pub(crate) fn run(&self, kind: Kind) -> Running {
        let controller = Controller { controller: kind.name };
        self.running.get_or_create(&controller).inc();
        Running { metrics: self.clone(), controller, since: Instant::now() }
    }

    pub(crate) fn failed(&self, kind: Kind, reason: &str) {
        self.errors.get_or_create(&Because { controller: kind.name, reason: reason.to_owned() }).inc();
    }

    /// An Event was written, with this reason.
    pub(crate) fn told(&self, kind: Kind, reason: &str) {
        self.events.get_or_create(&Because { controller: kind.name, reason: reason.to_owned() }).inc();
    }

    /// So many objects wait for another attempt.
    pub(crate) fn retrying(&self, kind: Kind, objects: usize) {
        let gauge = self.retrying.get_or_create(&Controller { controller: kind.name });
        gauge.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// So many objects wait for their turn.
    pub(crate) fn queued(&self, kind: Kind, objects: usize) {
        let gauge = self.queued.get_or_create(&Controller { controller: kind.name });
        gauge.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// An object's turn has come after so long.
    pub(crate) fn waited(&self, kind: Kind, time: Duration) {
        self.waited.get_or_create(&Controller { controller: kind.name }).observe(time.as_secs_f64());
    }

    /// What a scraper would read of a kind's controller: `queue_depth`. 0 where there is nothing.
    #[cfg(test)]
    pub(crate) fn value(&self, name: &str, kind: Kind) -> f64 {
        let (mut registry, mut page) = (Registry::default(), String::new());
        self.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let line = format!("tombolo_operator_{name}{{controller=\"{}\"}} ", kind.name);
        page.lines().find_map(|text| text.strip_prefix(&line)).map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.running.get_or_create(&self.controller).dec();
        self.metrics.reconciles.get_or_create(&self.controller).inc();
        self.metrics.durations.get_or_create(&self.controller).observe(self.since.elapsed().as_secs_f64());
    }
}
