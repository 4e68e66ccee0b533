//! The Envoy cluster of a service's port.

use crate::engine::{Built, ServicePortKey, Unit, View};
use std::sync::Arc;
use tombolo_proto::Resource;

/// The Envoy cluster of a service's port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cluster(pub ServicePortKey);

impl Unit for Cluster {
    type Output = Arc<Resource>;
    const RANK: u8 = 4;

    fn build(&self, _view: &View<'_>) -> Option<Built<Self::Output>> {
        None
    }
}
