//! Counters, and gauges that are read from the state when they are scraped.

use crate::{
    Hub,
    session::Event,
    wire::{Outgoing, Sent},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::time::Instant;
use tombolo_proto::ResourceType;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// Why a stream was ended by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A limit was exceeded.
    Limit,
    /// The client read nothing for too long.
    Stalled,
    /// The client did not answer pings.
    Silent,
    /// The proxy was refused.
    Refused,
    /// A request could not be read.
    Malformed,
}

impl Cut {
    const fn reason(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Stalled => "stalled",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }
}

/// What the server has done.
#[derive(Debug, Default)]
pub struct Metrics {
    responses: Family<ByType, Counter>,
    resources: Family<ByType, Counter>,
    resource_bytes: Family<ByType, Counter>,
    acks: Family<ByType, Counter>,
    nacks: Family<ByType, Counter>,
    withheld: Family<ByType, Counter>,
    waited_in_vain: Family<ByType, Counter>,
    cut: Family<ByReason, Counter>,
}

impl Metrics {
    /// Registers the hub's counters, and gauges over its connections.
    pub fn register(hub: &Hub, registry: &mut Registry) {
        let metrics = hub.metrics();
        let registry = registry.sub_registry_with_prefix("tombolo_xds");
        registry.register("responses", "Responses sent", metrics.responses.clone());
        registry.register("resources", "Resources sent", metrics.resources.clone());
        registry.register(
            "resource_bytes",
            "Bytes of resources sent, their envelopes included",
            metrics.resource_bytes.clone(),
        );
        registry.register("acks", "Responses that clients accepted", metrics.acks.clone());
        registry.register("nacks", "Responses that clients rejected", metrics.nacks.clone());
        registry.register("withheld", "Resources found to be rejected, and withheld", metrics.withheld.clone());
        registry.register(
            "waited_in_vain",
            "Resources sent after waiting for clusters that did not get warm",
            metrics.waited_in_vain.clone(),
        );
        registry.register("cut", "Streams ended by the server", metrics.cut.clone());
        registry.register_collector(Box::new(Gauges(hub.clone())));
    }

    /// Responses of a type sent so far.
    pub fn responses(&self, kind: ResourceType) -> u64 {
        by_type(&self.responses, kind).get()
    }

    /// Resources of a type sent so far.
    pub fn resources(&self, kind: ResourceType) -> u64 {
        by_type(&self.resources, kind).get()
    }

    /// Bytes of resources of a type sent so far, their envelopes included, as they were handed to HTTP/2.
    pub fn resource_bytes(&self, kind: ResourceType) -> u64 {
        by_type(&self.resource_bytes, kind).get()
    }

    /// Responses of a type that clients rejected so far.
    pub fn nacks(&self, kind: ResourceType) -> u64 {
        by_type(&self.nacks, kind).get()
    }

    /// Responses of a type that clients accepted so far.
    pub fn acks(&self, kind: ResourceType) -> u64 {
        by_type(&self.acks, kind).get()
    }

    pub(crate) fn cut(&self, reason: Cut) {
        self.cut.get_or_create(&ByReason { reason: reason.reason() }).inc();
    }

    pub(crate) fn count(&self, event: &Event) {
        let (family, kind) = match event {
            Event::Acknowledged(kind) => (&self.acks, kind),
            Event::Refused(kind, _) => (&self.nacks, kind),
            Event::Withheld { kind, .. } => (&self.withheld, kind),
            Event::WaitedInVain { kind, .. } => (&self.waited_in_vain, kind),
            Event::Released { .. } => return,
        };
        by_type(family, *kind).inc();
    }

    pub(crate) fn responding(&self, kind: ResourceType) {
        by_type(&self.responses, kind).inc();
    }

    /// Counts what was handed over since the last call.
    pub(crate) fn sent(&self, out: &mut Outgoing) {
        let sent = out.take_sent();
        if sent == Sent::default() {
            return;
        }
        by_type(&self.resources, out.kind()).inc_by(sent.resources);
        by_type(&self.resource_bytes, out.kind()).inc_by(sent.bytes);
    }
}

fn by_type(family: &Family<ByType, Counter>, kind: ResourceType) -> Counter {
    family.get_or_create_owned(&ByType { r#type: kind.short() })
}

/// What is true at the moment of the scrape.
struct Gauges(Hub);

impl std::fmt::Debug for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (now, live) = (Instant::now(), self.0.live());
        let (mut held, mut withheld, mut subscriptions) = (0, 0, 0);
        for connection in &live {
            let session = connection.session();
            subscriptions += session.subscriptions();
            for kind in ResourceType::ALL {
                held += session.waiting(kind, now).len();
                withheld += session.channel(kind).map_or(0, |channel| channel.withheld.len());
            }
            withheld += session.name_table().iter().filter(|table| table.rejected.is_some()).count();
        }
        let gauges = [
            ("connections", "Streams open now", live.len()),
            ("subscriptions", "Names subscribed to now", usize::try_from(subscriptions).unwrap_or(usize::MAX)),
            ("held_resources", "Changes that wait for others to be accepted first", held),
            ("withheld_resources", "Resources withheld now because clients reject them", withheld),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
