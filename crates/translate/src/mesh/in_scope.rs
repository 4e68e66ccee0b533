//! A service's port, shown to the proxies of a scope.

use super::{Assignment, Cluster, Definition, HostRow, Service};
use crate::engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View};
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
        let row = view.unit(&Service(self.host.clone()))?;
        let key: ServicePortKey = (&**row, self.used(view, row)?, self.port).into();
        let mut emits = Emits::default();
        if let Some(assigned) = view.unit(&Assignment(key.clone())) {
            if let Some(resource) = &assigned.resource {
                emits.resource(self.scope.clone(), resource.clone());
            }
            for (variant, resource) in &assigned.variants {
                emits.resource(self.scope.variant(&variant.name()), resource.clone());
            }
        }
        emits.resource(self.scope.clone(), view.unit(&Cluster(key))?.clone());
        Some(Built { output: (), emits })
    }
}

impl InScope {
    /// The strongest of the definitions that are used.
    fn used<'a>(&self, view: &View<'a>, row: &'a HostRow) -> Option<&'a Definition> {
        let used = view.relation(Relation::Uses(self.scope.clone(), self.host.clone(), self.port));
        let namespaces: Vec<_> = used
            .filter_map(|fact| match fact {
                Fact::Namespace(namespace) => Some(namespace),
                _ => None,
            })
            .collect();
        row.definitions.iter().find(|definition| namespaces.contains(&&definition.namespace))
    }
}
