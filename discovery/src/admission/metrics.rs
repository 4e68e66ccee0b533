//! What admission is counted by.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    kind: &'static str,
    warned: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// How reviews fare. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionMetrics {
    reviews: Family<Answered, Counter>,
    refused: Family<OfReason, Counter>,
    duration: Histogram,
    expires: Gauge,
}

impl Default for AdmissionMetrics {
    fn default() -> Self {
        let duration = Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.0]);
        Self { reviews: Family::default(), refused: Family::default(), duration, expires: Gauge::default() }
    }
}

impl AdmissionMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let expires = "When the webhook's certificate is over, in seconds since the epoch; 0 where there is none";
        registry.register("tombolo_admission_reviews", "Reviews answered", self.reviews.clone());
        registry.register("tombolo_admission_refused", "Requests that were no review", self.refused.clone());
        registry.register("tombolo_admission_certificate_expiry", expires, self.expires.clone());
        let duration = "From the request to its answer";
        registry.register_with_unit("tombolo_admission_duration", duration, Unit::Seconds, self.duration.clone());
    }

    pub(super) fn answered(&self, kind: &'static str, problems: usize, took: Duration) {
        let warned = if problems > 0 { "true" } else { "false" };
        self.reviews.get_or_create(&Answered { kind, warned }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&OfReason { reason }).inc();
    }

    pub(super) fn expires(&self, at: i64) {
        self.expires.set(at);
    }
}
