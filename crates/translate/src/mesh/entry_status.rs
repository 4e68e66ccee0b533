//! The status of ServiceEntries.

use crate::engine::{Built, Unit, View};
use tombolo_api::ObjectKey;

/// The status of a ServiceEntry: whether each of its hosts and ports counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryStatus(pub ObjectKey);

impl Unit for EntryStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, _view: &View<'_>) -> Option<Built<()>> {
        None
    }
}
