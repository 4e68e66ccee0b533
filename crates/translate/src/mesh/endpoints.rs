//! The endpoints of a service's port.

use super::{Definition, Service, Source, Variant, gather, prefer};
use crate::{
    engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View},
    envoy,
    ir::{Address, Endpoint},
    names,
};
use std::sync::Arc;
use tombolo_api::istio::Resolution;
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
}

impl Unit for Assignment {
    type Output = Arc<Assigned>;
    const RANK: u8 = 3;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let row = view.unit(&Service(self.0.host.clone()))?;
        let definition = row.of(&self.0.namespace)?;
        let port = definition.port(self.0.port)?;
        let candidates = gather::gather(view, &row.host, definition, port);
        let endpoints: Vec<Endpoint> = candidates.iter().map(|candidate| candidate.endpoint.clone()).collect();
        let mut emits = Emits::default();
        if endpoints.iter().any(|endpoint| matches!(endpoint.address, Address::Name(..))) {
            emits.fact(Relation::NamedEndpoints(self.0.clone()), Fact::Unit);
        } else if definition.is_assigned() {
            let name: Arc<str> = names::cluster(&row.host, port.port).into();
            let resource = Arc::new(envoy::assignment(name.clone(), &endpoints));
            let variants = prefer::variants(view, &candidates, &name, &resource);
            let assigned = Assigned { endpoints, resource: Some(resource), variants };
            return Some(Built { output: Arc::new(assigned), emits });
        }
        Some(Built { output: Arc::new(Assigned { endpoints, resource: None, variants: Vec::new() }), emits })
    }
}

impl Definition {
    /// True where endpoints are told by EDS, unless they turn out to have names.
    pub(super) fn is_assigned(&self) -> bool {
        matches!(self.source, Source::Kubernetes | Source::Entry(Resolution::Static))
    }
}
