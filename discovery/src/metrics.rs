//! What watching is counted by, and what the process takes.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::{Registry, Unit},
};
use std::fmt;
use tikv_jemalloc_ctl::{epoch, stats};

/// A watch: of what kind, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Watching {
    /// The kind, as Kubernetes calls it.
    pub(crate) kind: &'static str,
    /// What its objects are read for.
    pub(crate) purpose: &'static str,
}

/// How watches fare. A handle: clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchMetrics {
    failures: Family<Watching, Counter>,
    failing: Family<Watching, Gauge>,
}

impl WatchMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_watch_failures", "Lists and watches that failed", self.failures.clone());
        registry.register(
            "tombolo_watch_failing",
            "1 while a kind cannot be watched for what it is read for",
            self.failing.clone(),
        );
    }

    pub(crate) fn failed(&self, what: Watching) {
        self.failures.get_or_create(&what).inc();
        self.failing.get_or_create(&what).set(1);
    }

    pub(crate) fn recovered(&self, what: Watching) {
        self.failing.get_or_create(&what).set(0);
    }
}

/// Bytes that are allocated and not freed, read when they are asked for.
#[derive(Debug)]
pub(crate) struct Memory;

impl Memory {
    pub(crate) fn register(registry: &mut Registry) {
        registry.register_collector(Box::new(Self));
    }

    fn allocated() -> Option<u64> {
        epoch::advance().ok()?; // else the figure is that of the last epoch
        stats::allocated::read().ok()?.try_into().ok()
    }
}

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(bytes) = Self::allocated() else { return Ok(()) };
        let gauge = ConstGauge::new(bytes);
        let help = "Memory that is allocated and not freed";
        let encoder =
            encoder.encode_descriptor("tombolo_memory_allocated", help, Some(&Unit::Bytes), gauge.metric_type())?;
        gauge.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_shows_at_once() {
        let mut registry = Registry::default();
        Memory::register(&mut registry);
        let read = || {
            let mut page = String::new();
            prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
            let line = page.lines().find(|line| line.starts_with("tombolo_memory_allocated_bytes ")).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
        };
        let before = read();
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(read() >= before + (32 << 20), "other tests free something meanwhile, but not so much");
        drop(held);
    }
}
