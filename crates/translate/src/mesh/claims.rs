//! Several services that claim one virtual address: the strongest has it.

use super::{Definition, HostRow, Service};
use crate::engine::{Fact, Relation, View};
use std::sync::Arc;
use tombolo_core::{Host, Port};

/// A service as a claimant.
pub(super) type Claimant<'a> = (&'a HostRow, &'a Definition);

/// The services among some facts, the strongest first.
pub(super) fn claimants<'a>(view: &View<'a>, facts: impl Iterator<Item = &'a Fact>) -> Vec<Claimant<'a>> {
    let mut all: Vec<Claimant<'a>> = facts
        .filter_map(|fact| {
            let Fact::Service { host, namespace } = fact else { return None };
            let row = view.unit(&Service(host.clone()))?;
            Some((&**row, row.of(namespace)?))
        })
        .collect();
    all.sort_by(|(a_row, a), (b_row, b)| (a.strength(), &a_row.host).cmp(&(b.strength(), &b_row.host)));
    all
}

/// True where an address is this host's among the HTTP services of a port, as a namespace sees them, or, without one, as all
/// others do. What is seen by all goes before what one namespace sees.
pub(super) fn has_address(
    view: &View<'_>,
    namespace: Option<&str>,
    host: &Host,
    address: &Arc<str>,
    port: Port,
) -> bool {
    let claims = |namespace| Relation::SidecarVip(namespace, address.clone(), port);
    let strongest = |relation| claimants(view, view.relation(relation)).first().map(|(row, _)| &row.host);
    match (strongest(claims(None)), namespace) {
        (Some(winner), _) => winner == host,
        (None, Some(namespace)) => strongest(claims(Some(namespace.into()))) == Some(host),
        (None, None) => false,
    }
}
