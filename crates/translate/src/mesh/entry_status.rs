//! The status of ServiceEntries.

use super::{Allocation, Clash, Definition, Service};
use crate::{
    engine::{Built, Emits, Unit, View},
    status::{Condition, ServiceEntryAddress, Status},
};
use tombolo_api::{ObjectKey, istio::ServiceEntry};
use tombolo_core::Host;

/// The status of a ServiceEntry: whether each of its hosts and ports counts, and the addresses that its hosts were given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryStatus(pub ObjectKey);

impl Unit for EntryStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let entry = view.object::<ServiceEntry>(&self.0)?;
        let rows = entry.hosts.iter().filter_map(|host| view.unit(&Service(host.clone())));
        let definitions: Vec<(&Host, &Definition)> =
            rows.filter_map(|row| Some((&row.host, row.of(&self.0.name.namespace)?))).collect();
        let generation = entry.metadata.generation;
        let mut conditions = vec![self.accepted(definitions.iter().map(|(_, definition)| *definition), generation)];
        let counted = || definitions.iter().filter(|(_, definition)| definition.owners.contains(&self.0));
        conditions
            .extend(addressed(counted().filter_map(|(_, definition)| definition.allocation.as_ref()), generation));
        let addresses = counted().flat_map(|(host, definition)| {
            let value = |value| ServiceEntryAddress { host: (*host).clone(), value };
            definition.allocated().into_iter().map(value)
        });
        let mut emits = Emits::default();
        emits.status(self.0.clone(), Status::ServiceEntry { conditions, addresses: addresses.collect() });
        Some(Built { output: (), emits })
    }
}

impl EntryStatus {
    fn accepted<'a>(&self, definitions: impl Iterator<Item = &'a Definition>, generation: i64) -> Condition {
        let clashes: Vec<&Clash> = definitions
            .flat_map(|definition| definition.clashes.iter().filter(|clash| clash.owner == self.0))
            .collect();
        match clashes.first() {
            None => Condition::yes("Accepted", "Accepted", "every host and port counts", generation),
            Some(first) => {
                let messages: Vec<String> = clashes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
                Condition::no("Accepted", first.reason, messages.join("; "), generation)
            }
        }
    }
}

/// Whether the hosts that want addresses were given some; `None` where no host wants any.
fn addressed<'a>(allocations: impl Iterator<Item = &'a Allocation>, generation: i64) -> Option<Condition> {
    const KIND: &str = "AddressesAllocated";
    // The worst of all: they are ordered so.
    let worst = allocations.max()?;
    Some(match worst {
        Allocation::Given(_) => Condition::yes(KIND, worst.reason(), "every host has an address", generation),
        _ => Condition::no(KIND, worst.reason(), worst.lack().unwrap_or_default(), generation),
    })
}
