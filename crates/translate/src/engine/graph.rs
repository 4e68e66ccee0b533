//! The graph of units: who read what, what is out of date, what there is.

use super::{
    Fact, Relation, Unit, UnitId, View,
    members::Members,
    vertex::{VertexId, Vertices},
    view::Lookup,
};
use crate::{mesh, status::Status};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use tombolo_api::ObjectKey;
use tombolo_core::{Host, Problem};
use tombolo_proto::{Change, Resource, ResourceType, Scope};
use tombolo_registry::{Key, Snapshot};

/// Everything that is translated, kept current by difference.
#[derive(Default)]
pub struct Engine {
    pub(super) vertices: Vertices,
    /// How many units exist.
    pub(super) units: usize,
    pub(super) resources: HashMap<Slot, Owned>,
    pub(super) dirty: BTreeSet<(u8, UnitId)>,
    /// Hosts that came to need addresses, or no longer do, since that was last asked of the outside.
    pub(super) asked: BTreeSet<Host>,
}

/// Hosts that need addresses from now on, or (false) no longer do.
pub type Needs = BTreeMap<Host, bool>;

/// What the outside has to say.
#[derive(Debug, Default)]
pub struct Answer {
    /// Facts that hold from now on.
    pub facts: Vec<(Relation, Fact)>,
    /// Facts that were told, and hold no more.
    pub withdrawn: Vec<(Relation, Fact)>,
}

/// Where a resource is seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) scope: Scope,
    pub(super) kind: ResourceType,
    pub(super) name: Arc<str>,
}

/// A resource and the unit that made it. A resource may pass from one unit to another within one edit.
pub(super) struct Owned {
    pub(super) by: VertexId,
    pub(super) resource: Arc<Resource>,
}

/// What one edit changed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Resources that are new, different or gone; in order of scope, type and name.
    pub changes: Vec<Change>,
    /// Objects whose status is new, different or (`None`) gone with the object.
    pub statuses: BTreeMap<ObjectKey, Option<Arc<Status>>>,
    /// Problems that were not there before.
    pub appeared: BTreeSet<Problem>,
    /// Problems that are no more.
    pub resolved: BTreeSet<Problem>,
    /// How many units were built: the work done.
    pub built: usize,
}

/// An edit under way: what it has touched, with what was there before.
#[derive(Default)]
pub(super) struct Edit {
    pub(super) slots: BTreeMap<Slot, Option<Arc<Resource>>>,
    pub(super) outcome: Outcome,
}

impl Engine {
    /// Brings everything up to date with a snapshot, given the keys that changed since the last one. Nobody answers what is asked
    /// of the outside.
    pub fn apply(&mut self, snapshot: &Snapshot, changed: impl IntoIterator<Item = Key>) -> Outcome {
        self.apply_with(snapshot, changed, |_| Answer::default())
    }

    /// Brings everything up to date with a snapshot, and asks `outside` which addresses hosts are given. What it answers is in
    /// effect before anything is built that depends on it: nothing is built twice but the services that asked.
    pub fn apply_with(
        &mut self,
        snapshot: &Snapshot,
        changed: impl IntoIterator<Item = Key>,
        mut outside: impl FnMut(&Needs) -> Answer,
    ) -> Outcome {
        for key in changed {
            for unit in UnitId::of_key(&key) {
                self.mark(unit);
            }
            if let Some(id) = self.vertices.find(&Lookup::Source(key)) {
                self.touch(id);
            }
        }
        let mut edit = Edit::default();
        loop {
            // Whoever asks has asked by then.
            if !self.asked.is_empty() && self.dirty.first().is_none_or(|(rank, _)| *rank > mesh::Service::RANK) {
                let answer = outside(&self.take_needs());
                self.learn(answer);
            }
            let Some((rank, unit)) = self.dirty.pop_first() else { break };
            let view = View::new(self, snapshot, rank);
            let built = unit.build(&view);
            let reads = view.into_reads();
            edit.outcome.built += 1;
            self.commit(unit, built, reads, &mut edit);
        }
        self.finish(edit)
    }

    /// Takes in what the outside says, unasked. Takes effect at the next [`Engine::apply`].
    pub fn learn(&mut self, answer: Answer) {
        self.insert_facts(answer.facts);
        self.remove_facts(answer.withdrawn);
    }

    fn take_needs(&mut self) -> Needs {
        let asked = std::mem::take(&mut self.asked);
        let needed = |host: &Host| self.members(Relation::NeedsAddress(host.clone())).is_some();
        asked.into_iter().map(|host| (host.clone(), needed(&host))).collect()
    }

    /// Everything from scratch: what any sequence of edits that ends in this snapshot must equal.
    pub fn from_scratch(snapshot: &Snapshot, inputs: impl IntoIterator<Item = (Relation, Fact)>) -> (Self, Outcome) {
        Self::from_scratch_with(snapshot, inputs, |_| Answer::default())
    }

    /// [`Engine::from_scratch`] that asks `outside`: see [`Engine::apply_with`].
    pub fn from_scratch_with(
        snapshot: &Snapshot,
        inputs: impl IntoIterator<Item = (Relation, Fact)>,
        outside: impl FnMut(&Needs) -> Answer,
    ) -> (Self, Outcome) {
        let mut engine = Self::default();
        engine.insert_facts(inputs);
        let entries = snapshot.all_entries().map(Key::Entry);
        let objects = snapshot.keys().cloned().map(Key::Object);
        let outcome = engine.apply_with(snapshot, objects.chain(entries), outside);
        (engine, outcome)
    }

    /// Adds facts that come from outside, such as that proxies of a namespace are connected. Takes effect at the next [`Engine::apply`].
    pub fn insert_facts(&mut self, facts: impl IntoIterator<Item = (Relation, Fact)>) {
        for (relation, fact) in facts {
            let relation = self.vertices.number(Lookup::Relation(relation));
            self.add_fact(relation, fact);
        }
    }

    /// Takes back facts that came from outside, each as often as it was added. One that is not there is passed over. Takes effect
    /// at the next [`Engine::apply`].
    ///
    /// A fact that is to be replaced is best added in its new form first: then its relation is never empty in between.
    pub fn remove_facts(&mut self, facts: impl IntoIterator<Item = (Relation, Fact)>) {
        for (relation, fact) in facts {
            if let Some(relation) = self.vertices.find(&Lookup::Relation(relation)) {
                self.remove_fact(relation, &fact);
            }
        }
    }

    /// The resources now seen, unordered.
    pub fn resources(&self) -> impl Iterator<Item = (&Scope, &Arc<Resource>)> {
        self.resources.iter().map(|(slot, owned)| (&slot.scope, &owned.resource))
    }

    /// The status of every object that has one.
    pub fn statuses(&self) -> BTreeMap<ObjectKey, Arc<Status>> {
        self.vertices.nodes().flat_map(|(_, node)| node.emitted.statuses.iter().cloned()).collect()
    }

    /// Every problem there is now.
    pub fn problems(&self) -> BTreeSet<Problem> {
        self.vertices.nodes().flat_map(|(_, node)| node.emitted.problems.iter().cloned()).collect()
    }

    /// The members of a relation, for the outside: units look them up through their view.
    pub fn facts<'e>(&'e self, relation: &Relation) -> impl Iterator<Item = &'e Fact> + use<'e> {
        self.members(relation.clone()).into_iter().flat_map(Members::iter)
    }

    /// What units look at, for whoever wants to know what one is made from. `snapshot`: the one that was applied last.
    pub fn view<'e>(&'e self, snapshot: &'e Snapshot) -> View<'e> {
        View::new(self, snapshot, u8::MAX)
    }

    /// Every unit that exists, unordered.
    pub fn units(&self) -> impl Iterator<Item = &UnitId> {
        self.vertices.nodes().map(|(unit, _)| unit)
    }

    /// What a unit made, for other units to read.
    pub fn output<U: Unit>(&self, unit: &U) -> Option<&U::Output> {
        let id = self.vertices.find(&Lookup::Unit(unit.clone().into()))?;
        self.output_at::<U>(id)
    }

    pub(super) fn output_at<U: Unit>(&self, id: VertexId) -> Option<&U::Output> {
        // Of the box's content, not of the box, which is something too.
        (*self.vertices.node(id)?.output).as_any().downcast_ref()
    }

    fn members(&self, relation: Relation) -> Option<&Members> {
        self.vertices.members(self.vertices.find(&Lookup::Relation(relation))?)
    }

    /// How many units exist.
    pub fn len(&self) -> usize {
        self.units
    }

    /// True before anything was applied.
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// The objects that a resource was made from: whom to tell if a proxy rejects it.
    pub fn origins(&self, scope: &Scope, kind: ResourceType, name: &Arc<str>) -> BTreeSet<ObjectKey> {
        let slot = Slot { scope: scope.clone(), kind, name: name.clone() };
        let mut origins = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut open: Vec<VertexId> = self.resources.get(&slot).map(|owned| owned.by).into_iter().collect();
        while let Some(unit) = open.pop() {
            let Some(node) = self.vertices.node(unit).filter(|_| seen.insert(unit)) else { continue };
            for read in &node.reads {
                match &self.vertices.get(*read).name {
                    Lookup::Source(Key::Object(key)) => drop(origins.insert(key.clone())),
                    Lookup::Unit(_) => open.push(*read),
                    Lookup::Source(Key::Entry(_)) | Lookup::Relation(_) => {}
                }
            }
        }
        origins
    }

    /// The unit that a resource was made by.
    pub fn maker(&self, scope: &Scope, kind: ResourceType, name: &Arc<str>) -> Option<&UnitId> {
        let slot = Slot { scope: scope.clone(), kind, name: name.clone() };
        self.vertices.unit(self.resources.get(&slot)?.by)
    }

    /// Marks whoever looked this up.
    pub(super) fn touch(&mut self, id: VertexId) {
        let readers = self.vertices.get(id).readers.iter().filter_map(|reader| self.vertices.unit(reader));
        self.dirty.extend(readers.map(|unit| (unit.rank(), unit.clone())));
    }

    /// Marks a unit, whether it exists yet or not.
    pub(super) fn mark(&mut self, unit: UnitId) {
        self.dirty.insert((unit.rank(), unit));
    }
}
