//! Taking in what a unit made: only differences go on.

use super::{
    Emits, Engine, Fact, Outcome, Relation, UnitId,
    graph::{Edit, Node, Owned, Slot},
    unit::{AnyBuilt, AnyOutput},
    view::Lookup,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_proto::{Change, Resource, Scope};

impl Engine {
    /// Replaces what a unit made before by what it made now; `None`: the unit is no more.
    pub(super) fn commit(&mut self, unit: UnitId, built: Option<AnyBuilt>, reads: Vec<Lookup>, edit: &mut Edit) {
        let old = self.nodes.remove(&unit);
        let (old_output, old_emits, old_reads) = match old {
            Some(Node { output, emits, reads }) => (Some(output), emits, reads),
            None => (None, Emits::default(), Box::default()),
        };
        let (output, emits) = match built {
            Some(AnyBuilt { output, emits }) => (Some(output), emits),
            None => (None, Emits::default()),
        };
        // Even what does not exist is asked again when something that it looked at changes.
        let reads = self.replace_reads(&unit, old_reads, reads);
        self.replace_facts(&old_emits, &emits);
        self.replace_resources(&unit, &old_emits, &emits, edit);
        replace_statuses(&old_emits, &emits, &mut edit.outcome);
        replace_problems(&old_emits, &emits, &mut edit.outcome);
        if !same(old_output.as_deref(), output.as_deref()) {
            self.touch(&Lookup::Unit(unit.clone()));
        }
        match output {
            Some(output) => drop(self.nodes.insert(unit, Node { output, emits, reads })),
            None => self.forget_reads(&unit, &reads),
        }
    }

    fn replace_reads(&mut self, unit: &UnitId, old: Box<[Lookup]>, new: Vec<Lookup>) -> Box<[Lookup]> {
        // Builds are deterministic: the same sequence is the common case, and needs no sets.
        if *old == *new {
            return old;
        }
        let gone: Vec<Lookup> = {
            let new: BTreeSet<&Lookup> = new.iter().collect();
            old.iter().filter(|read| !new.contains(read)).cloned().collect()
        };
        self.forget_reads(unit, &gone);
        for read in &new {
            match self.readers.get_mut(read) {
                Some(readers) => drop(readers.insert(unit.clone())),
                None => drop(self.readers.insert(read.clone(), [unit.clone()].into())),
            }
        }
        new.into_boxed_slice()
    }

    fn forget_reads(&mut self, unit: &UnitId, reads: &[Lookup]) {
        for read in reads {
            if let Some(readers) = self.readers.get_mut(read) {
                readers.remove(unit);
                if readers.is_empty() {
                    self.readers.remove(read);
                }
            }
        }
    }

    fn replace_facts(&mut self, old: &Emits, new: &Emits) {
        if old.facts == new.facts {
            return;
        }
        // Added before removed: a fact in both never leaves its relation.
        new.facts.iter().for_each(|(relation, fact)| self.add_fact(relation.clone(), fact.clone()));
        old.facts.iter().for_each(|(relation, fact)| self.remove_fact(relation, fact));
    }

    pub(super) fn add_fact(&mut self, relation: Relation, fact: Fact) {
        let count = self.relations.entry(relation.clone()).or_default().entry(fact).or_default();
        *count += 1;
        if *count == 1 {
            self.relation_changed(relation);
        }
    }

    pub(super) fn remove_fact(&mut self, relation: &Relation, fact: &Fact) {
        let Some(members) = self.relations.get_mut(relation) else { return };
        let Some(count) = members.get_mut(fact) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        members.remove(fact);
        if members.is_empty() {
            self.relations.remove(relation);
        }
        self.relation_changed(relation.clone());
    }

    fn relation_changed(&mut self, relation: Relation) {
        for unit in UnitId::of_relation(&relation) {
            self.mark(unit);
        }
        if let Relation::NeedsAddress(host) = &relation {
            self.asked.insert(host.clone());
        }
        self.touch(&Lookup::Relation(relation));
    }

    fn replace_resources(&mut self, unit: &UnitId, old: &Emits, new: &Emits, edit: &mut Edit) {
        for (scope, resource) in &old.resources {
            let slot = slot(scope, resource);
            if self.resources.get(&slot).is_some_and(|owned| owned.by == *unit) {
                let was = self.resources.remove(&slot).map(|owned| owned.resource);
                edit.slots.entry(slot).or_insert(was);
            }
        }
        for (scope, resource) in &new.resources {
            let slot = slot(scope, resource);
            let owned = Owned { by: unit.clone(), resource: resource.clone() };
            let was = self.resources.insert(slot.clone(), owned).map(|owned| owned.resource);
            edit.slots.entry(slot).or_insert(was);
        }
    }

    /// Turns what was touched into what changed.
    pub(super) fn finish(&self, edit: Edit) -> Outcome {
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

fn replace_statuses(old: &Emits, new: &Emits, outcome: &mut Outcome) {
    for (key, _) in &old.statuses {
        if !new.statuses.iter().any(|(k, _)| k == key) {
            outcome.statuses.insert(key.clone(), None);
        }
    }
    for (key, status) in &new.statuses {
        if !old.statuses.iter().any(|(k, s)| k == key && s == status) {
            outcome.statuses.insert(key.clone(), Some(status.clone()));
        }
    }
}

fn replace_problems(old: &Emits, new: &Emits, outcome: &mut Outcome) {
    outcome.resolved.extend(old.problems.iter().filter(|p| !new.problems.contains(p)).cloned());
    outcome.appeared.extend(new.problems.iter().filter(|p| !old.problems.contains(p)).cloned());
}
