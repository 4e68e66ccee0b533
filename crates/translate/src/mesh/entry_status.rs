//! The status of ServiceEntries.

use super::{Clash, Service};
use crate::{
    engine::{Built, Emits, Unit, View},
    status::{Condition, Status},
};
use tombolo_api::{ObjectKey, istio::ServiceEntry};

/// The status of a ServiceEntry: whether each of its hosts and ports counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryStatus(pub ObjectKey);

impl Unit for EntryStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let entry = view.object::<ServiceEntry>(&self.0)?;
        let rows = entry.hosts.iter().filter_map(|host| view.unit(&Service(host.clone())));
        let clashes: Vec<&Clash> = rows
            .filter_map(|row| row.of(&self.0.name.namespace))
            .flat_map(|definition| definition.clashes.iter().filter(|clash| clash.owner == self.0))
            .collect();
        let generation = entry.metadata.generation;
        let condition = match clashes.first() {
            None => Condition::yes("Accepted", "Accepted", "every host and port counts", generation),
            Some(first) => {
                let messages: Vec<String> = clashes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
                Condition::no("Accepted", first.reason, messages.join("; "), generation)
            }
        };
        let mut emits = Emits::default();
        emits.status(self.0.clone(), Status::Conditions { conditions: vec![condition] });
        Some(Built { output: (), emits })
    }
}
