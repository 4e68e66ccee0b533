//! Counters, and gauges that are read from the state when they are scraped.

use super::{books::Shared, relay::Note, upstream::UpstreamError};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::{Registry, Unit},
};

/// Type URLs that the control plane makes up are counted together beyond so many.
const TYPES: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// What the stream has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    connects: Counter,
    failures: Family<ByReason, Counter>,
    responses: Family<ByType, Counter>,
    received: Counter,
    acks: Family<ByType, Counter>,
    nacks: Family<ByType, Counter>,
    resyncs: Counter,
    types: std::sync::Arc<std::sync::Mutex<std::collections::BTreeSet<String>>>,
}

impl Metrics {
    /// Registers counters, and gauges over the stream's state.
    pub(super) fn register(&self, books: &Shared, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tombolo_agent_config");
        registry.register("connects", "Streams to the control plane opened", self.connects.clone());
        registry.register("failures", "Streams to the control plane not opened, or ended", self.failures.clone());
        registry.register("responses", "Responses of the control plane", self.responses.clone());
        registry.register_with_unit(
            "received",
            "Resources received from the control plane, with their envelopes",
            Unit::Bytes,
            self.received.clone(),
        );
        registry.register("acks", "Responses that Envoy, or a part of the agent, accepted", self.acks.clone());
        registry.register("nacks", "Responses that Envoy, or a part of the agent, rejected", self.nacks.clone());
        registry.register("resyncs", "Times that the control plane was told anew what is held", self.resyncs.clone());
        registry.register_collector(Box::new(Gauges(books.clone())));
    }

    pub(super) fn connected(&self) {
        self.connects.inc();
    }

    pub(super) fn failed(&self, error: &UpstreamError) {
        self.failures.get_or_create(&ByReason { reason: error.reason() }).inc();
    }

    pub(super) fn received(&self, type_url: &str, bytes: usize) {
        self.responses.get_or_create(&self.label(type_url)).inc();
        self.received.inc_by(bytes as u64);
    }

    pub(super) fn note(&self, note: &Note) {
        match note {
            Note::Accepted(kind) => self.acks.get_or_create(&self.label(kind)).inc(),
            Note::Rejected(kind, _) => self.nacks.get_or_create(&self.label(kind)).inc(),
            Note::Resync(_) => self.resyncs.inc(),
        };
    }

    /// The message's name, without its package.
    fn label(&self, type_url: &str) -> ByType {
        let name = type_url.rsplit(['.', '/']).next().unwrap_or_default();
        let mut types = self.types.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = types.contains(name) || types.len() < TYPES && types.insert(name.to_owned());
        ByType { r#type: if known { name } else { "other" }.to_owned() }
    }
}

/// What is true at the moment of the scrape.
#[derive(Debug)]
struct Gauges(Shared);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.lock().status();
        let count = |count: usize| count as f64;
        let gauges = [
            ("connected", "Whether a stream to the control plane is open", f64::from(u8::from(status.connected))),
            ("envoy_connected", "Whether Envoy's stream is open", f64::from(u8::from(status.envoy))),
            ("cache_resources", "Resources that are kept", count(status.cached_resources)),
            ("cache_bytes", "Bytes of the resources that are kept, with their envelopes", count(status.cached_bytes)),
        ];
        // There is no age before the control plane has said anything.
        let age = status.config_age_seconds.map(|age| {
            let help = "Seconds since the config was last known to be what the control plane wants; 0 while it is";
            ("age_seconds", help, age)
        });
        for (name, help, value) in gauges.into_iter().chain(age) {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{
        relay::{Bounds, Relay},
        shelf::Memory,
    };

    #[test]
    fn everything_is_in_the_exposition_and_made_up_types_are_bounded() {
        let bounds = Bounds { subscriptions: 1, types: 1, pending: 1 };
        let books = Shared::new(Relay::new("".into(), bounds), Box::<Memory>::default());
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&books, &mut registry);
        metrics.connected();
        metrics.failed(&UpstreamError::Stalled);
        (0..100).for_each(|i| metrics.received(&format!("type.googleapis.com/a.b.C{i}"), 10));
        metrics.note(&Note::Accepted("type.googleapis.com/envoy.config.cluster.v3.Cluster".into()));
        metrics.note(&Note::Rejected("type.googleapis.com/a.b.C0".into(), "no".to_owned()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tombolo_agent_config_connects_total 1",
            "tombolo_agent_config_failures_total{reason=\"stalled\"} 1",
            "tombolo_agent_config_responses_total{type=\"C0\"} 1",
            "tombolo_agent_config_responses_total{type=\"other\"} 68",
            "tombolo_agent_config_received_bytes_total 1000",
            "tombolo_agent_config_acks_total{type=\"other\"} 1",
            "tombolo_agent_config_nacks_total{type=\"C0\"} 1",
            "tombolo_agent_config_connected 0.0",
            "tombolo_agent_config_cache_bytes 0.0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
        assert!(!text.contains("age_seconds"));
    }
}
