//! All that one control plane knows, kept current by one writer. No threads, no sockets.

use super::{
    event::{Applied, Cause, Edited, Finding},
    status::{StatusTable, TimedStatus},
};
use crate::{
    Allocator, Edit, HealthReport, Update,
    health::HealthBook,
    rejections::{Rejected, Rejections, Report},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Instant, SystemTime},
};
use tombolo_api::{Kind, Object, ObjectKey, mesh::MeshInstallation};
use tombolo_core::{NamespacedName, ObjectRef, Origin, Problem, SourceId};
use tombolo_proto::Change;
use tombolo_registry::{Entry, Index, Key, Snapshot};
use tombolo_translate::{
    Engine, Outcome,
    engine::{Answer, Fact, Needs, Relation},
    mesh::{Workload, WorkloadRow},
};
use tombolo_xds::Hub;

/// All that one control plane knows: objects, what they translate to, statuses, problems.
#[derive(Default)]
pub struct World {
    index: Index,
    engine: Engine,
    allocator: Allocator,
    statuses: StatusTable,
    /// Problems of each source's manifests, as the source says them.
    said: BTreeMap<SourceId, BTreeSet<Problem>>,
    /// Problems that translation found.
    translated: BTreeSet<Problem>,
    /// Problems that proxies found.
    rejected: BTreeSet<Problem>,
    /// What is told of it in statuses.
    rejected_by_all: BTreeSet<(Relation, Fact)>,
    rejections: Rejections,
    /// Problems of objects that neither sources nor translation can know of, by who found them.
    observed: BTreeMap<(ObjectKey, &'static str), BTreeSet<Problem>>,
    /// Where objects stand, for problems that translation finds.
    origins: HashMap<ObjectRef, Origin>,
    facts: BTreeSet<(Relation, Fact)>,
    /// Who has said something yet: few.
    sources: BTreeSet<SourceId>,
    health: HealthBook,
}

impl World {
    /// One that gives hosts addresses by this.
    pub fn new(allocator: Allocator) -> Self {
        Self { allocator, ..Self::default() }
    }

    /// Every source has said everything once: whoever had an address and is not there any more does without.
    pub(crate) fn synced(&mut self) {
        self.allocator.release_absent();
    }

    /// Takes in what a source says. Returns what it came to, and the resources that changed, to be published.
    pub fn update(&mut self, source: SourceId, update: Update, now: SystemTime) -> (Applied, Vec<Change>) {
        let began = Instant::now();
        let mut applied = Applied::new(Cause::Source(source));
        self.sources.insert(source);
        if !update.allocated.is_empty() {
            self.engine.learn(self.allocator.adopt(&update.allocated));
        }
        let mut changed = Vec::new();
        for edit in update.edits {
            changed.extend(self.edit(source, edit, &mut applied));
        }
        if let Some(problems) = update.problems {
            let old = self.said.insert(source, problems.clone()).unwrap_or_default();
            applied.differ(&old, &problems);
        }
        let changes = self.translate(changed, now, &mut applied);
        self.allocator.release_unneeded(&update.allocated);
        applied.took = began.elapsed();
        (applied, changes)
    }

    /// Takes in facts about connected proxies. Those that are known already cost nothing.
    pub fn learn(&mut self, facts: Vec<(Relation, Fact)>, now: SystemTime) -> (Applied, Vec<Change>) {
        let began = Instant::now();
        let mut applied = Applied::new(Cause::Facts);
        let new: Vec<_> = facts.into_iter().filter(|fact| self.facts.insert(fact.clone())).collect();
        if new.is_empty() {
            return (applied, Vec::new());
        }
        self.engine.insert_facts(new);
        let changes = self.translate(Vec::new(), now, &mut applied);
        applied.took = began.elapsed();
        (applied, changes)
    }

    /// Takes in all that is known from outside of one relation. What is known already costs nothing.
    pub fn replace(&mut self, relation: &Relation, facts: Vec<Fact>, now: SystemTime) -> (Applied, Vec<Change>) {
        let began = Instant::now();
        let mut applied = Applied::new(Cause::Facts);
        let wanted: BTreeSet<_> = facts.into_iter().map(|fact| (relation.clone(), fact)).collect();
        let old: Vec<_> = self.facts.iter().filter(|(r, _)| r == relation).cloned().collect();
        let gone: Vec<_> = old.into_iter().filter(|fact| !wanted.contains(fact)).collect();
        let new: Vec<_> = wanted.into_iter().filter(|fact| self.facts.insert(fact.clone())).collect();
        if new.is_empty() && gone.is_empty() {
            return (applied, Vec::new());
        }
        self.facts.retain(|fact| !gone.contains(fact));
        // The new before the old goes: the relation is never empty in between.
        self.engine.insert_facts(new);
        self.engine.remove_facts(gone);
        let changes = self.translate(Vec::new(), now, &mut applied);
        applied.took = began.elapsed();
        (applied, changes)
    }

    /// Takes in what an agent says of its workload, if it may speak for it. Returns the number of the newest report that counts.
    pub fn hear(&mut self, report: &HealthReport, now: SystemTime) -> (Option<u64>, Applied, Vec<Change>) {
        let began = Instant::now();
        let mut applied = Applied::new(Cause::Facts);
        let covered = report.is_covered(self);
        let named = self.named(Kind::WorkloadEntry, &report.workload);
        let workloads: Vec<ObjectKey> = named.filter(|_| covered).collect();
        if workloads.is_empty() {
            let peer = report.peer.as_ref().map(|peer| peer.id.to_string());
            tracing::debug!(workload = %report.workload, peer, "a health report of no WorkloadEntry of this caller is passed over");
            return (None, applied, Vec::new());
        }
        let (mut counted, mut told) = (None, Answer::default());
        for key in &workloads {
            let (newest, Answer { facts, withdrawn }) = self.health.take(key, report);
            counted = counted.max(newest);
            told.facts.extend(facts);
            told.withdrawn.extend(withdrawn);
        }
        if told.facts.is_empty() {
            return (counted, applied, Vec::new());
        }
        self.engine.learn(told);
        let changes = self.translate(Vec::new(), now, &mut applied);
        applied.took = began.elapsed();
        (counted, applied, changes)
    }

    /// Looks at what proxies reject now: those of this replica, and what others tell of theirs, where that is said anew. What is
    /// rejected already costs nothing. True where anything is.
    pub(crate) fn look_at_rejections(
        &mut self,
        hub: &Hub,
        elsewhere: Option<Vec<Report>>,
        now: SystemTime,
    ) -> (bool, Applied, Vec<Change>) {
        let began = Instant::now();
        let mut applied = Applied::new(Cause::Rejections);
        let mut rejections = std::mem::take(&mut self.rejections);
        rejections.hear(elsewhere);
        let Rejected { problems, facts } = rejections.look(hub, self, began);
        let any = !rejections.is_empty();
        self.rejections = rejections;
        if let Some(problems) = problems {
            applied.differ(&self.rejected, &problems);
            self.rejected = problems;
        }
        let old = std::mem::replace(&mut self.rejected_by_all, facts);
        let new: Vec<_> = self.rejected_by_all.difference(&old).cloned().collect();
        let gone: Vec<_> = old.difference(&self.rejected_by_all).cloned().collect();
        if new.is_empty() && gone.is_empty() {
            return (any, applied, Vec::new());
        }
        self.engine.insert_facts(new);
        self.engine.remove_facts(gone);
        let changes = self.translate(Vec::new(), now, &mut applied);
        applied.took = began.elapsed();
        (any, applied, changes)
    }

    /// What is known of what proxies reject.
    pub(crate) fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Takes in all that one part finds of an object where it takes effect.
    pub(crate) fn observe(
        &mut self,
        by: &'static str,
        key: &ObjectKey,
        findings: Vec<Finding>,
        now: SystemTime,
    ) -> Applied {
        let mut applied = Applied::new(Cause::Facts);
        let (conditions, problems): (Vec<_>, Vec<_>) =
            findings.into_iter().map(|finding| (finding.condition, finding.problem)).unzip();
        let problems = self.located(problems.into_iter().flatten().collect());
        let old = match problems.is_empty() {
            true => self.observed.remove(&(key.clone(), by)),
            false => self.observed.insert((key.clone(), by), problems.clone()),
        };
        applied.differ(&old.unwrap_or_default(), &problems);
        if self.statuses.observe(by, key, conditions, now) {
            applied.statuses.insert(key.clone());
        }
        applied
    }

    /// All objects now.
    pub fn snapshot(&self) -> &Snapshot {
        self.index.current()
    }

    /// What the objects translate to now.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The status of every object that has one.
    pub fn statuses(&self) -> impl Iterator<Item = (&ObjectKey, &TimedStatus)> {
        self.statuses.iter()
    }

    /// The status of one object, if it has one.
    pub fn status(&self, key: &ObjectKey) -> Option<&TimedStatus> {
        self.statuses.get(key)
    }

    /// The objects of a kind and name, one for each source that has it.
    pub(crate) fn named<'w>(&'w self, kind: Kind, name: &'w NamespacedName) -> impl Iterator<Item = ObjectKey> + 'w {
        let keys = self.sources.iter().map(move |source| ObjectKey { source: *source, kind, name: name.clone() });
        keys.filter(|key| self.index.current().object(key).is_some())
    }

    /// A workload outside Kubernetes, with what it inherits.
    pub(crate) fn workload(&self, key: &ObjectKey) -> Option<&WorkloadRow> {
        self.engine.output(&Workload(key.clone())).map(|row| &**row)
    }

    /// True where an object has a status here.
    pub(crate) fn has_status(&self, key: &ObjectKey) -> bool {
        self.statuses.contains(key)
    }

    /// The MeshInstallation that counts: the oldest.
    pub fn installation(&self) -> Option<&Arc<Object<MeshInstallation>>> {
        self.oldest_installation().map(|(_, object)| object)
    }

    /// Its key.
    pub fn installation_key(&self) -> Option<ObjectKey> {
        self.oldest_installation().map(|(key, _)| key)
    }

    fn oldest_installation(&self) -> Option<(ObjectKey, &Arc<Object<MeshInstallation>>)> {
        let objects = self.index.current();
        let keys = objects.entry(&Entry::All(Kind::MeshInstallation));
        let all = keys.iter().filter_map(|key| Some((objects.get::<MeshInstallation>(key)?, key)));
        let oldest = all
            .min_by(|(a, at), (b, bt)| (a.metadata.creation_timestamp, at).cmp(&(b.metadata.creation_timestamp, bt)));
        oldest.map(|(object, key)| (key.clone(), object))
    }

    /// Workloads outside Kubernetes, with what they inherit, unordered.
    pub fn workloads(&self) -> impl Iterator<Item = (&ObjectKey, &WorkloadRow)> {
        let entries = self.index.current().keys().filter(|key| key.kind == Kind::WorkloadEntry);
        entries.filter_map(|key| Some((key, self.workload(key)?)))
    }

    /// Everything that is wrong now.
    pub fn problems(&self) -> BTreeSet<Problem> {
        let found = self.translated.iter().chain(&self.rejected).chain(self.observed.values().flatten());
        self.said.values().flatten().chain(found).cloned().collect()
    }

    /// Where an object stands, if it stands in a file.
    pub fn origin(&self, object: &ObjectRef) -> Option<&Origin> {
        self.origins.get(object)
    }

    fn edit(&mut self, source: SourceId, edit: Edit, applied: &mut Applied) -> impl Iterator<Item = Key> + use<> {
        let (key, changes, edited) = match edit {
            Edit::Apply(object, origin) => {
                let key = object.key(source);
                match origin {
                    Some(origin) => drop(self.origins.insert(key.reference(), origin)),
                    None => drop(self.origins.remove(&key.reference())),
                }
                let known = self.index.current().object(&key).is_some();
                (key, self.index.apply(source, object), if known { Edited::Changed } else { Edited::Added })
            }
            Edit::Delete(key) => {
                self.origins.remove(&key.reference());
                self.engine.remove_facts(self.health.forget(&key));
                let changes = self.index.delete(&key);
                (key, changes, Edited::Removed)
            }
        };
        if !changes.is_empty() {
            applied.objects.push((key, edited));
        }
        changes.into_iter()
    }

    fn translate(&mut self, changed: Vec<Key>, now: SystemTime, applied: &mut Applied) -> Vec<Change> {
        let Self { engine, allocator, .. } = self;
        if allocator.is_behind() {
            engine.learn(allocator.answer(&Needs::new()));
        }
        let outcome = engine.apply_with(self.index.current(), changed, |needs| allocator.answer(needs));
        let Outcome { changes, statuses, appeared, resolved, built } = outcome;
        applied.units = built;
        applied.statuses = statuses.keys().cloned().collect();
        self.statuses.take(statuses, now);
        let (old, new) = (self.located(resolved), self.located(appeared));
        for problem in &old {
            self.translated.remove(problem);
        }
        self.translated.extend(new.iter().cloned());
        applied.differ(&old, &new);
        for change in &changes {
            *applied.resources.entry(change.scope.clone()).or_default().entry(change.kind).or_default() += 1;
        }
        changes
    }

    /// Adds where their objects stand.
    fn located(&self, problems: BTreeSet<Problem>) -> BTreeSet<Problem> {
        let locate = |problem: Problem| match (&problem.origin, self.origins.get(&problem.object)) {
            (None, Some(origin)) => problem.at(origin.clone()),
            _ => problem,
        };
        problems.into_iter().map(locate).collect()
    }
}
