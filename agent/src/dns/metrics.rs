//! Counters, and gauges that are read from the state when they are scraped.

use super::Dns;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByServer {
    server: String,
    reason: &'static str,
}

/// What became of a client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answered from the table.
    Mesh,
    /// Answered by another server.
    Forwarded,
    /// Answered by another server before.
    Cached,
    /// Answered by another server before, and used past its time because none answers now.
    Stale,
    /// No server answered, or there were too many questions at once.
    Failed,
    /// Not a question that can be answered.
    Malformed,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Mesh, Self::Forwarded, Self::Cached, Self::Stale, Self::Failed, Self::Malformed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Forwarded => "forwarded",
            Self::Cached => "cached",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
        }
    }
}

/// What was asked and answered.
#[derive(Debug)]
pub(crate) struct Metrics {
    queries: Family<ByKind, Counter>,
    /// The counters of `queries`, at hand: to find one in the family would cost as much as to find a name.
    by_kind: [Counter; Kind::ALL.len()],
    upstream_failures: Family<ByServer, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let queries = Family::<ByKind, Counter>::default();
        let by_kind = Kind::ALL.map(|kind| queries.get_or_create_owned(&ByKind { kind: kind.name() }));
        Self { queries, by_kind, upstream_failures: Family::default() }
    }
}

impl Metrics {
    pub(crate) fn count(&self, kind: Kind) {
        self.by_kind[kind as usize].inc();
    }

    pub(crate) fn get(&self, kind: Kind) -> u64 {
        self.by_kind[kind as usize].get()
    }

    pub(crate) fn upstream_failed(&self, server: SocketAddr, reason: &'static str) {
        self.upstream_failures.get_or_create(&ByServer { server: server.to_string(), reason }).inc();
    }

    pub(crate) fn register(&self, dns: &Arc<Dns>, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tombolo_dns");
        registry.register("queries", "Messages of clients, by what became of them", self.queries.clone());
        registry.register(
            "upstream_failures",
            "Questions that a name server did not answer, or not well",
            self.upstream_failures.clone(),
        );
        registry.register_collector(Box::new(Gauges(Arc::downgrade(dns))));
    }
}

/// Weak: the registry may outlive what it is about.
#[derive(Debug)]
struct Gauges(Weak<Dns>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(dns) = self.0.upgrade() else { return Ok(()) };
        let status = dns.status();
        for (name, help, value) in [
            ("names", "Hosts in the table of names", status.names),
            ("cached_answers", "Answers of name servers that are kept", status.cached),
            ("cached_bytes", "Bytes that they take", status.cached_bytes),
            ("forwarding", "Questions that name servers are being asked", status.forwarding),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
