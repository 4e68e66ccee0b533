//! The endpoints of a service's port.

use super::{
    Definition, Service, Source, Variant,
    gather::{self, Candidate},
    prefer, settings,
    trust::{self, is_rooted},
};
use crate::{
    engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View},
    envoy,
    ir::{Address, Endpoint, Health},
    names,
};
use std::sync::Arc;
use tombolo_api::{istio::Resolution, mesh::MtlsMode};
use tombolo_proto::Resource;

/// The endpoints of a service's port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment(pub ServicePortKey);

/// Endpoints, and what is sent of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// All of them, ordered, without repetitions.
    pub endpoints: Vec<Endpoint>,
    /// As most proxies see them; `None` where they are part of the cluster, or the cluster has none of its own.
    pub resource: Option<Arc<Resource>>,
    /// As others do, where that differs.
    pub variants: Vec<(Variant, Arc<Resource>)>,
    /// Who may answer for them in the mesh's mutual TLS: a secret that their cluster names. `None` where it names none.
    pub identities: Option<Arc<Resource>>,
}

impl Unit for Assignment {
    type Output = Arc<Assigned>;
    const RANK: u8 = 3;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let row = view.unit(&Service(self.0.host.clone()))?;
        let definition = row.of(&self.0.namespace)?;
        let port = definition.port(self.0.port)?;
        let mut emits = Emits::default();
        let mut candidates = gather::gather(view, &row.host, definition, port);
        // Before repetitions go: which of two workloads has an address is not decided here.
        self.state_inbound(&candidates, &mut emits);
        gather::settle(&mut candidates, definition.source);
        withhold_insecure(view, &mut candidates);
        let endpoints: Vec<Endpoint> = candidates.iter().map(|candidate| candidate.endpoint.clone()).collect();
        let identities = definition.proxied.then(|| trust::identities(view, &self.0, &endpoints)).flatten();
        let (mut resource, mut variants) = (None, Vec::new());
        if endpoints.iter().any(|endpoint| matches!(endpoint.address, Address::Name(..))) {
            emits.fact(Relation::NamedEndpoints(self.0.clone()), Fact::Unit);
        } else if definition.is_assigned() {
            let name: Arc<str> = names::cluster(&row.host, port.port).into();
            let base = Arc::new(envoy::assignment(name.clone(), &endpoints));
            variants = prefer::variants(view, &candidates, &name, &base);
            resource = Some(base);
        }
        Some(Built { output: Arc::new(Assigned { endpoints, resource, variants, identities }), emits })
    }
}

impl Assignment {
    /// Tells workloads with a local agent at which of their ports they are reached.
    fn state_inbound(&self, candidates: &[Candidate<'_>], emits: &mut Emits) {
        for candidate in candidates {
            if let (Some(workload), Address::Ip(_, port)) = (candidate.local, &candidate.endpoint.address) {
                let inbound = Fact::Inbound { port: *port, service: self.0.clone() };
                emits.fact(Relation::Inbound(workload.clone()), inbound);
            }
        }
    }
}

/// Where the mesh demands mutual TLS and has no roots to speak it with, workloads with a proxy get nothing: they would refuse
/// plaintext, and what was refused would have been sent in the clear.
fn withhold_insecure(view: &View<'_>, candidates: &mut [Candidate<'_>]) {
    let proxied = |candidate: &&mut Candidate<'_>| candidate.endpoint.about.proxied;
    if candidates.iter().any(|candidate| candidate.endpoint.about.proxied)
        && !is_rooted(view)
        && settings(view).mtls.mode == MtlsMode::Strict
    {
        candidates.iter_mut().filter(proxied).for_each(|candidate| candidate.endpoint.health = Health::Unhealthy);
    }
}

impl Definition {
    /// True where endpoints are told by EDS, unless they turn out to have names.
    pub(super) fn is_assigned(&self) -> bool {
        matches!(self.source, Source::Kubernetes | Source::Entry(Resolution::Static))
    }
}
