//! What a unit may look at, and the record of what it looked at.

use super::{Engine, Fact, Relation, Unit, UnitId, members::Members, vertex::VertexId};
use std::{cell::RefCell, sync::Arc};
use tombolo_api::{Kinded, Object, ObjectKey};
use tombolo_registry::{Entry, Key, Snapshot};

/// Something that was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Lookup {
    /// An object or an index entry of the snapshot.
    Source(Key),
    /// The output of another unit.
    Unit(UnitId),
    /// The members of a relation.
    Relation(Relation),
}

/// What was looked up, as far as it had a number.
pub(super) enum Read {
    Known(VertexId),
    New(Lookup),
}

/// A snapshot and the outputs of lower units, read through a recorder. What is absent is recorded too: a unit that looked
/// for something is rebuilt when it appears.
pub struct View<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    rank: u8,
    reads: RefCell<Vec<Read>>,
}

impl<'a> View<'a> {
    pub(super) fn new(engine: &'a Engine, snapshot: &'a Snapshot, rank: u8) -> Self {
        Self { engine, snapshot, rank, reads: RefCell::default() }
    }

    pub(super) fn into_reads(self) -> Vec<Read> {
        self.reads.into_inner()
    }

    fn record(&self, lookup: Lookup) -> Option<VertexId> {
        let known = self.engine.vertices.find(&lookup);
        self.reads.borrow_mut().push(known.map_or(Read::New(lookup), Read::Known));
        known
    }

    /// An object of a known kind.
    pub fn object<S: Kinded>(&self, key: &ObjectKey) -> Option<&'a Arc<Object<S>>> {
        self.record(Lookup::Source(Key::Object(key.clone())));
        self.snapshot.get(key)
    }

    /// The objects under an index entry, ordered by key.
    pub fn entry(&self, entry: Entry) -> tombolo_registry::Keys {
        let objects = self.snapshot.entry(&entry);
        self.record(Lookup::Source(Key::Entry(entry)));
        objects
    }

    /// The output of a unit of a lower rank, if it exists.
    pub fn unit<U: Unit>(&self, unit: &U) -> Option<&'a U::Output> {
        debug_assert!(
            U::RANK < self.rank,
            "a unit reads only what is of a lower rank: {unit:?} read at rank {}",
            self.rank
        );
        self.engine.output_at::<U>(self.record(Lookup::Unit(unit.clone().into()))?)
    }

    /// The members of a relation, in order.
    pub fn relation(&self, relation: Relation) -> impl Iterator<Item = &'a Fact> + use<'a> {
        self.members(relation).into_iter().flat_map(Members::iter)
    }

    /// How many members a relation has.
    pub fn count(&self, relation: Relation) -> usize {
        self.members(relation).map_or(0, Members::len)
    }

    fn members(&self, relation: Relation) -> Option<&'a Members> {
        self.engine.vertices.members(self.record(Lookup::Relation(relation))?)
    }
}
