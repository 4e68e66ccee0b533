//! One audit line and one count for every certificate issued and every refusal.

use crate::{Caller, Csr, Issued, Refusal, Signer, moment};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::{net::SocketAddr, sync::Arc};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProof {
    proof: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRole {
    certificate: &'static str,
}

/// What was issued and refused.
#[derive(Debug, Default)]
pub struct Telemetry {
    issued: Family<ByProof, Counter>,
    refused: Family<ByReason, Counter>,
}

impl Telemetry {
    /// Registers the counters, and when the certificates that `signer` signs with are over, read at each scrape.
    pub fn register(&self, signer: &Arc<dyn Signer>, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tombolo_ca");
        registry.register("certificates_issued", "Certificates issued, by proof", self.issued.clone());
        registry.register("refusals", "Requests for certificates and streams refused, by reason", self.refused.clone());
        registry.register_collector(Box::new(Expiries(signer.clone())));
    }

    /// Certificates issued so far by this proof (`token`, `certificate`).
    pub fn issued_by(&self, proof: &'static str) -> u64 {
        self.issued.get_or_create_owned(&ByProof { proof }).get()
    }

    /// Refusals so far for this reason ([`Refusal::reason`]).
    pub fn refused_for(&self, reason: &'static str) -> u64 {
        self.refused.get_or_create_owned(&ByReason { reason }).get()
    }

    pub(crate) fn issued(&self, caller: &Caller, csr: &Csr, issued: &Issued, peer: Option<SocketAddr>) {
        self.issued.get_or_create(&ByProof { proof: caller.proven.word() }).inc();
        tracing::info!(
            target: "audit",
            identity = %caller.id,
            instance = caller.instance.as_ref().map(tracing::field::display),
            proof = caller.proven.word(),
            serial = issued.serial,
            until = moment::unix(issued.not_after),
            key = csr.key_kind(),
            peer = peer.map(tracing::field::display),
            "certificate issued"
        );
    }

    /// `what` was asked for: `certificate`, `stream` or `handshake`.
    pub(crate) fn refused(
        &self,
        what: &'static str,
        caller: Option<&Caller>,
        refusal: &Refusal,
        peer: Option<SocketAddr>,
    ) {
        self.refused.get_or_create(&ByReason { reason: refusal.reason() }).inc();
        tracing::warn!(
            target: "audit",
            what,
            reason = refusal.reason(),
            identity = caller.map(|caller| tracing::field::display(&caller.id)),
            instance = caller.and_then(|caller| caller.instance.as_ref()).map(tracing::field::display),
            peer = peer.map(tracing::field::display),
            "refused: {refusal}"
        );
    }
}

struct Expiries(Arc<dyn Signer>);

impl std::fmt::Debug for Expiries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expiries")
    }
}

impl Collector for Expiries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let family = ConstGauge::new(0_i64);
        let help = "When the certificate that signs, or its root, is over, in seconds since the epoch";
        let mut metric =
            encoder.encode_descriptor("certificate_expiry_timestamp_seconds", help, None, family.metric_type())?;
        for (certificate, at) in self.0.expiries() {
            let labels = ByRole { certificate };
            ConstGauge::new(moment::unix(at)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
