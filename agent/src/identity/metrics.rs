//! How long the certificate still lasts, and how its renewals went.

use super::{Clock, Current, Reason};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::time::SystemTime;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// What became of requests for certificates.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    renewals: Family<ByResult, Counter>,
    unsaved: Counter,
}

impl Metrics {
    /// Registers the counters, and the time to expiry, which is read when it is asked for.
    pub(super) fn register(&self, current: Current, clock: Clock, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tombolo_agent_certificate");
        registry.register("renewals", "Requests for a certificate, by result", self.renewals.clone());
        registry.register("unsaved", "Certificates that could not be kept on disk", self.unsaved.clone());
        registry.register_collector(Box::new(Expiry { current, clock }));
    }

    /// Requests with this result so far: `success`, or the word of a [`Reason`].
    pub fn renewals(&self, result: &'static str) -> u64 {
        self.renewals.get_or_create(&ByResult { result }).get()
    }

    pub(super) fn renewed(&self) {
        self.renewals.get_or_create(&ByResult { result: "success" }).inc();
    }

    pub(super) fn failed(&self, reason: Reason) {
        self.renewals.get_or_create(&ByResult { result: reason.as_str() }).inc();
    }

    pub(super) fn unsaved(&self) {
        self.unsaved.inc();
    }
}

/// What is true at the moment of the scrape.
struct Expiry {
    current: Current,
    clock: Clock,
}

impl std::fmt::Debug for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expiry")
    }
}

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(material) = self.current.get() else { return Ok(()) };
        let gauge = ConstGauge::new(seconds_between((self.clock)(), material.not_after()));
        let help = "Seconds until the certificate expires; negative once it has";
        let metric = encoder.encode_descriptor("expiry_seconds", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

fn seconds_between(now: SystemTime, then: SystemTime) -> i64 {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    then.duration_since(now).map_or_else(|past| -seconds(past.duration()), seconds)
}
