//! What workload proxies see.

use crate::{
    engine::{Built, Unit, View},
    ir::VirtualHost,
};
use std::sync::Arc;
use tombolo_core::{Host, Port};
use tombolo_proto::Scope;

/// What the sidecars of a namespace have of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SidecarNamespace(pub Arc<str>);

/// What sidecars of a scope listen for at an address and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressListener {
    /// The scope.
    pub scope: Scope,
    /// The address; empty for every one.
    pub address: Arc<str>,
    /// The port.
    pub port: Port,
}

impl Unit for SidecarNamespace {
    type Output = ();
    const RANK: u8 = 9;

    fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
        None
    }
}

impl Unit for AddressListener {
    type Output = ();
    const RANK: u8 = 12;

    fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
        None
    }
}

/// The virtual host of a service in the sidecars' route table of a port, as a namespace sees it, or, without one, as all others do.
pub(crate) fn virtual_host(
    _view: &View<'_>,
    _namespace: Option<&str>,
    _host: &Host,
    _port: Port,
) -> Option<VirtualHost> {
    None
}
