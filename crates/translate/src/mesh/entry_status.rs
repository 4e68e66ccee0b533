//! The status of ServiceEntries.

use super::{Clash, Service};
use crate::{
    engine::{Built, Emits, Unit, View},
    status::{Condition, Status},
};
use std::fmt::Write as _;
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
        let clashes: Vec<_> = rows
            .filter_map(|row| Some((row, row.of(&self.0.name.namespace)?)))
            .flat_map(|(row, d)| d.clashes.iter().filter(|c| c.owner == self.0).map(move |c| (&row.host, c)))
            .collect();
        let generation = entry.metadata.generation;
        let condition = match clashes.first() {
            None => Condition::yes("Accepted", "Accepted", "every host and port counts", generation),
            Some((_, Clash { reason, .. })) => {
                let mut message = String::new();
                for (i, (host, clash)) in clashes.iter().enumerate() {
                    // Writing to a String cannot fail.
                    let _ =
                        write!(message, "{}{host}: {}: {}", if i == 0 { "" } else { "; " }, clash.field, clash.message);
                }
                Condition::no("Accepted", reason, message, generation)
            }
        };
        let mut emits = Emits::default();
        emits.status(self.0.clone(), Status::Conditions { conditions: vec![condition] });
        Some(Built { output: (), emits })
    }
}
