//! Taking in what a unit made: only differences go on.

use super::{
    Emits, Engine, Fact, Outcome, Relation, UnitId,
    graph::{Edit, Owned, Slot},
    unit::{AnyBuilt, AnyOutput},
    vertex::{Content, Emitted, Node, VertexId},
    view::{Lookup, Read},
};
use crate::status::Status;
use std::sync::Arc;
use tombolo_api::ObjectKey;
use tombolo_core::{Problem, trim};
use tombolo_proto::{Change, Resource, Scope};

impl Engine {
    /// Replaces what a unit made before by what it made now; `None`: the unit is no more.
    pub(super) fn commit(&mut self, unit: UnitId, built: Option<AnyBuilt>, reads: Vec<Read>, edit: &mut Edit) {
        let id = self.vertices.number(Lookup::Unit(unit));
        let (old_output, old, old_reads) = match self.vertices.take_node(id) {
            Some(Node { output, emitted, reads }) => (Some(output), emitted, reads),
            None => (None, Emitted::default(), Box::default()),
        };
        let (output, emits) = match built {
            Some(AnyBuilt { output, emits }) => (Some(output), emits),
            None => (None, Emits::default()),
        };
        let reads = self.replace_reads(id, old_reads, reads);
        let emitted = self.replace_emitted(id, old, emits, edit);
        self.units = self.units + usize::from(output.is_some()) - usize::from(old_output.is_some());
        if !same(old_output.as_deref(), output.as_deref()) {
            self.touch(id);
        }
        match output {
            Some(output) => {
                self.vertices.get_mut(id).content = Content::Unit(Box::new(Node { output, emitted, reads }));
            }
            None => {
                self.forget_reads(id, &reads);
                self.vertices.release(id);
            }
        }
    }

    /// What the unit reads from now on, in order, each once.
    fn replace_reads(&mut self, unit: VertexId, old: Box<[VertexId]>, new: Vec<Read>) -> Box<[VertexId]> {
        let number = |read| match read {
            Read::Known(id) => id,
            Read::New(lookup) => self.vertices.number(lookup),
        };
        let mut new: Vec<VertexId> = new.into_iter().map(number).collect();
        new.sort_unstable();
        new.dedup();
        // Builds are deterministic: the same is the common case.
        if *old == *new {
            return old;
        }
        for read in new.iter().filter(|read| old.binary_search(read).is_err()) {
            self.vertices.get_mut(*read).readers.insert(unit);
        }
        let gone: Vec<VertexId> = old.iter().filter(|read| new.binary_search(read).is_err()).copied().collect();
        self.forget_reads(unit, &gone);
        new.into_boxed_slice()
    }

    fn forget_reads(&mut self, unit: VertexId, reads: &[VertexId]) {
        for read in reads {
            self.vertices.get_mut(*read).readers.remove(unit);
            self.vertices.release(*read);
        }
    }

    fn replace_emitted(&mut self, unit: VertexId, old: Emitted, new: Emits, edit: &mut Edit) -> Emitted {
        let Emits { facts, resources, statuses, problems } = new;
        let facts = self.replace_facts(old.facts, facts);
        let new = Emitted { facts, resources: resources.into(), statuses: statuses.into(), problems: problems.into() };
        self.replace_resources(unit, &old.resources, &new.resources, edit);
        replace_statuses(&old.statuses, &new.statuses, &mut edit.outcome);
        replace_problems(&old.problems, &new.problems, &mut edit.outcome);
        new
    }

    fn replace_facts(&mut self, old: Box<[(VertexId, Fact)]>, new: Vec<(Relation, Fact)>) -> Box<[(VertexId, Fact)]> {
        let number = |(relation, fact)| (self.vertices.number(Lookup::Relation(relation)), fact);
        let new: Box<[(VertexId, Fact)]> = new.into_iter().map(number).collect();
        if old == new {
            return old;
        }
        // Added before removed: a fact in both never leaves its relation.
        new.iter().for_each(|(relation, fact)| self.add_fact(*relation, fact.clone()));
        old.iter().for_each(|(relation, fact)| self.remove_fact(*relation, fact));
        new
    }

    pub(super) fn add_fact(&mut self, relation: VertexId, fact: Fact) {
        if self.vertices.add_fact(relation, fact) {
            self.relation_changed(relation);
        }
    }

    pub(super) fn remove_fact(&mut self, relation: VertexId, fact: &Fact) {
        if self.vertices.remove_fact(relation, fact) {
            self.relation_changed(relation);
            self.vertices.release(relation);
        }
    }

    fn relation_changed(&mut self, id: VertexId) {
        if let Some(relation) = self.vertices.relation(id) {
            let units = UnitId::of_relation(relation);
            if let Relation::NeedsAddress(host) = relation {
                self.asked.insert(host.clone());
            }
            units.into_iter().for_each(|unit| self.mark(unit));
        }
        self.touch(id);
    }

    fn replace_resources(
        &mut self,
        unit: VertexId,
        old: &[(Scope, Arc<Resource>)],
        new: &[(Scope, Arc<Resource>)],
        edit: &mut Edit,
    ) {
        for (scope, resource) in old {
            let slot = slot(scope, resource);
            if self.resources.get(&slot).is_some_and(|owned| owned.by == unit) {
                let was = self.resources.remove(&slot).map(|owned| owned.resource);
                edit.slots.entry(slot).or_insert(was);
            }
        }
        for (scope, resource) in new {
            let slot = slot(scope, resource);
            let owned = Owned { by: unit, resource: resource.clone() };
            let was = self.resources.insert(slot.clone(), owned).map(|owned| owned.resource);
            edit.slots.entry(slot).or_insert(was);
        }
    }

    /// Turns what was touched into what changed.
    pub(super) fn finish(&mut self, edit: Edit) -> Outcome {
        self.vertices.trim();
        trim(&mut self.resources);
        let Edit { slots, mut outcome } = edit;
        for (slot, was) in slots {
            let now = self.resources.get(&slot).map(|owned| &owned.resource);
            if was.as_ref().map(|r| r.version()) != now.map(|r| r.version()) {
                let Slot { scope, kind, name } = slot;
                outcome.changes.push(Change { scope, kind, name, resource: now.cloned() });
            }
        }
        // A problem that one unit gave up and another took over never went away.
        let moved: Vec<_> = outcome.appeared.intersection(&outcome.resolved).cloned().collect();
        for problem in moved {
            outcome.appeared.remove(&problem);
            outcome.resolved.remove(&problem);
        }
        outcome
    }
}

fn same(a: Option<&dyn AnyOutput>, b: Option<&dyn AnyOutput>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (None, None) => true,
        _ => false,
    }
}

fn slot(scope: &Scope, resource: &Arc<Resource>) -> Slot {
    Slot { scope: scope.clone(), kind: resource.kind(), name: resource.name().clone() }
}

type Statuses = [(ObjectKey, Arc<Status>)];

fn replace_statuses(old: &Statuses, new: &Statuses, outcome: &mut Outcome) {
    for (key, _) in old {
        if !new.iter().any(|(k, _)| k == key) {
            outcome.statuses.insert(key.clone(), None);
        }
    }
    for (key, status) in new {
        if !old.iter().any(|(k, s)| k == key && s == status) {
            outcome.statuses.insert(key.clone(), Some(status.clone()));
        }
    }
}

fn replace_problems(old: &[Problem], new: &[Problem], outcome: &mut Outcome) {
    outcome.resolved.extend(old.iter().filter(|p| !new.contains(p)).cloned());
    outcome.appeared.extend(new.iter().filter(|p| !old.contains(p)).cloned());
}
