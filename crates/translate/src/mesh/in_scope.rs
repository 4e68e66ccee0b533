//! A service's port, shown to the proxies of a scope.

use super::{Assignment, Cluster, Service};
use crate::engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View};
use std::sync::Arc;
use tombolo_core::{Host, Port};
use tombolo_proto::Scope;

/// A service's port, shown to the proxies of a scope that use it.
///
/// A gateway's routes of different namespaces may mean different definitions of one host. The cluster has one name, so the
/// strongest definition that is used serves all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InScope {
    /// The scope.
    pub scope: Scope,
    /// The service's host.
    pub host: Host,
    /// The service's port.
    pub port: Port,
}

impl Unit for InScope {
    type Output = ();
    const RANK: u8 = 20;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let uses = Relation::Uses(self.scope.clone(), self.host.clone(), self.port);
        let namespaces: Vec<&Arc<str>> = view
            .relation(uses)
            .filter_map(|fact| match fact {
                Fact::Namespace(namespace) => Some(namespace),
                _ => None,
            })
            .collect();
        if namespaces.is_empty() {
            return None;
        }
        let mut emits = Emits::default();
        // A service that is used may be gone, or not be there yet.
        let row = view.unit(&Service(self.host.clone()));
        let used =
            row.and_then(|row| Some((row, row.definitions.iter().find(|d| namespaces.contains(&&d.namespace))?)));
        if let Some((row, definition)) = used {
            self.show(view, (&**row, definition, self.port).into(), &mut emits);
        }
        Some(Built { output: (), emits })
    }
}

impl InScope {
    fn show(&self, view: &View<'_>, key: ServicePortKey, emits: &mut Emits) {
        if let Some(assigned) = view.unit(&Assignment(key.clone())) {
            if let Some(resource) = &assigned.resource {
                emits.resource(self.scope.clone(), resource.clone());
            }
            if let Some(identities) = &assigned.identities {
                emits.resource(self.scope.clone(), identities.clone());
            }
            for (variant, resource) in &assigned.variants {
                emits.resource(self.scope.variant(&variant.name()), resource.clone());
            }
        }
        if let Some(cluster) = view.unit(&Cluster(key)) {
            emits.resource(self.scope.clone(), cluster.clone());
        }
    }
}
