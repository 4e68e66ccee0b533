//! Gateways and their routes: objects to what is to be served, and to status.

use crate::{
    engine::{Built, Emits, Unit, View},
    ir, table,
};
use tombolo_api::ObjectKey;
use tombolo_core::Port;

macro_rules! skeleton {
    ($name:ident, $rank:literal) => {
        /// .
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub ObjectKey);
        impl Unit for $name {
            type Output = ();
            const RANK: u8 = $rank;
            fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
                None
            }
        }
    };
}
skeleton!(Class, 1);
skeleton!(Gateway, 2);
skeleton!(Route, 3);
skeleton!(Rules, 4);
skeleton!(GatewayStatus, 10);
skeleton!(RouteStatus, 10);

/// A port that a Gateway listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listener {
    /// .
    pub gateway: ObjectKey,
    /// .
    pub port: Port,
}
impl Unit for Listener {
    type Output = ();
    const RANK: u8 = 8;
    fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
        None
    }
}

pub(crate) fn virtual_host(
    _view: &View<'_>,
    _unit: &table::VirtualHost,
    _gateway: &ObjectKey,
    _port: Port,
    _tls: bool,
    _emits: &mut Emits,
) -> Option<ir::VirtualHost> {
    None
}
