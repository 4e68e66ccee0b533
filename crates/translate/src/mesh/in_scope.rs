//! A service's port, shown to the proxies of a scope.

use crate::engine::{Built, Unit, View};
use tombolo_core::{Host, Port};
use tombolo_proto::Scope;

/// A service's port, shown to the proxies of a scope that use it.
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

    fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
        None
    }
}
