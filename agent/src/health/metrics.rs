//! The workload's health in figures, read from the last report when somebody asks.

use super::Report;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Registry,
};
use std::fmt;
use tokio::sync::watch;

/// Registers `tombolo_agent_workload_healthy` and `_workload_health_sequence`.
pub fn register(report: watch::Receiver<Report>, registry: &mut Registry) {
    registry.register_collector(Box::new(Health(report)));
}

#[derive(Debug)]
struct Health(watch::Receiver<Report>);

impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = self.0.borrow().clone();
        let sequence = i64::try_from(report.sequence).unwrap_or(i64::MAX);
        for (name, help, value) in [
            (
                "tombolo_agent_workload_healthy",
                "Whether the workload may be sent traffic",
                report.healthy.is_ok().into(),
            ),
            ("tombolo_agent_workload_health_sequence", "The number of the last health report", sequence),
        ] {
            let gauge = ConstGauge::<i64>::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
