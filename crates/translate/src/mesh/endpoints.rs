//! The endpoints of a service's port.

use super::Variant;
use crate::{
    engine::{Built, ServicePortKey, Unit, View},
    ir::Endpoint,
};
use std::sync::Arc;
use tombolo_proto::Resource;

/// The endpoints of a service's port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment(pub ServicePortKey);

/// Endpoints, and what is sent of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// All of them.
    pub endpoints: Vec<Endpoint>,
    /// As most proxies see them.
    pub resource: Arc<Resource>,
    /// As others do, where that differs.
    pub variants: Vec<(Variant, Arc<Resource>)>,
}

impl Unit for Assignment {
    type Output = Arc<Assigned>;
    const RANK: u8 = 3;

    fn build(&self, _view: &View<'_>) -> Option<Built<Self::Output>> {
        None
    }
}
