//! Envoy's life in figures, read from its state when somebody asks.

use super::keeper::{Phase, Status};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::fmt;
use tokio::sync::watch;

/// Registers `tombolo_agent_envoy_running`, `_envoy_restarts` and `_ready`.
pub fn register(status: watch::Receiver<Status>, reasons: watch::Receiver<Vec<String>>, registry: &mut Registry) {
    registry.register_collector(Box::new(Life { status, reasons }));
}

#[derive(Debug)]
struct Life {
    status: watch::Receiver<Status>,
    reasons: watch::Receiver<Vec<String>>,
}

impl Collector for Life {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.status.borrow().clone();
        let running = matches!(status.phase, Phase::Running | Phase::Draining | Phase::Drained);
        let running = ConstGauge::new(i64::from(running));
        let ready = ConstGauge::new(i64::from(self.reasons.borrow().is_empty()));
        let restarts = ConstCounter::new(status.restarts);
        encode(&mut encoder, "tombolo_agent_envoy_running", "Whether Envoy runs", &running)?;
        encode(&mut encoder, "tombolo_agent_ready", "Whether the proxy is ready", &ready)?;
        encode(&mut encoder, "tombolo_agent_envoy_restarts", "How often Envoy had to be started again", &restarts)
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
