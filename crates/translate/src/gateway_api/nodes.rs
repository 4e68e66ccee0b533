//! Where nodes are reached, and so the Gateways whose Services are open on them.

use super::placement::Reachable;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Where a node that is ready is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its addresses outside the cluster.
    pub external: Box<[IpAddr]>,
    /// Its addresses within the cluster's network.
    pub internal: Box<[IpAddr]>,
}

/// Where a Service is reached that is open on these nodes: each is reached from wherever the others are. Outside the cluster, where any
/// node has an address there, or else within its network.
pub(super) fn reachable<'a>(nodes: impl Iterator<Item = &'a Node>) -> Reachable {
    let (mut external, mut internal) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        external.extend(&node.external);
        internal.extend(&node.internal);
    }
    let texts = |addresses: BTreeSet<IpAddr>| addresses.iter().map(|address| address.to_string().into()).collect();
    if external.is_empty() {
        Reachable { told: texts(internal), ..Reachable::default() }
    } else {
        Reachable { told: texts(external), besides: texts(internal), ..Reachable::default() }
    }
}
