//! Workloads outside Kubernetes: WorkloadEntries with what they inherit.
//!
//! A field that an entry leaves out is its group's template's. Labels are merged, later ones over earlier: the template's,
//! the group's `metadata.labels`, the entry's `spec.labels`, the labels of the entry's own metadata (as Istio ranks them).

use super::{
    health::{Verdict, verdict},
    trust::DEFAULT_SERVICE_ACCOUNT,
};
use crate::engine::{Built, Emits, Fact, Relation, TableKey, Unit, View};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_api::{
    Kind, Object, ObjectKey,
    istio::{GROUP_ANNOTATION, MUTUAL_TLS, ReadinessProbe, TLS_MODE_LABEL, WorkloadEntry, WorkloadGroup},
    mesh::{AGENT_ANNOTATION, LOCAL_AGENT, NO_AGENT, REVOKED_ANNOTATION},
};
use tombolo_core::{FieldPath, NamespacedName, Problem};

/// A WorkloadEntry with what it inherits from its WorkloadGroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload(pub ObjectKey);

/// A workload as services select it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRow {
    /// Everything, the group's template filled in; its labels are the effective ones.
    pub entry: WorkloadEntry,
    /// Whether its agent runs on this machine, and its proxy with it (`mesh.tombolo.dev/agent: local`).
    pub local: bool,
    /// How its agent finds out whether it is healthy: its group's.
    pub probe: Option<Arc<ReadinessProbe>>,
    /// False where its agent has said that it is not. Where nothing was said it counts as healthy: a control plane that has just
    /// been started must not take a mesh out of service.
    pub healthy: bool,
}

impl WorkloadRow {
    /// Whose identity its proxy has: where nothing is said the namespace's `default`, as in Kubernetes.
    pub fn service_account(&self) -> Arc<str> {
        service_account(&self.entry)
    }
}

fn service_account(entry: &WorkloadEntry) -> Arc<str> {
    let own = &entry.service_account;
    if own.is_empty() { DEFAULT_SERVICE_ACCOUNT.into() } else { own.clone() }
}

impl Unit for Workload {
    type Output = Arc<WorkloadRow>;
    const RANK: u8 = 1;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let entry = view.object::<WorkloadEntry>(&self.0)?;
        let group = entry.metadata.annotations.get(GROUP_ANNOTATION).and_then(|name| {
            let name = NamespacedName { namespace: self.0.name.namespace.clone(), name: name.clone() };
            view.object::<WorkloadGroup>(&ObjectKey { kind: Kind::WorkloadGroup, name, source: self.0.source })
        });
        let mut emits = Emits::default();
        let local = has_local_agent(entry, group.map(|group| &**group)).unwrap_or_else(|other| {
            emits.problems.push(unknown_agent(&self.0, &other));
            false
        });
        self.state_identity(entry, group.map(|group| &**group), &mut emits);
        let mut entry = effective(entry, group.map(|group| &group.spec));
        if local {
            // Whoever has an agent has a proxy, unless the label says that it is not to be spoken to like one.
            entry.labels.entry(TLS_MODE_LABEL.into()).or_insert_with(|| MUTUAL_TLS.into());
            state_local(&self.0, &entry, &mut emits);
        }
        for (key, value) in &entry.labels {
            let labelled = Relation::Labelled {
                source: self.0.source,
                namespace: self.0.name.namespace.clone(),
                key: key.clone(),
                value: value.clone(),
            };
            emits.fact(labelled, Fact::Object(self.0.clone()));
        }
        let probe = group.and_then(|group| group.spec.probe.clone()).map(Arc::new);
        let healthy = verdict(view, &self.0).is_none_or(Verdict::is_ok);
        Some(Built { output: Arc::new(WorkloadRow { entry, local, probe, healthy }), emits })
    }
}

impl Workload {
    /// Whose identity it holds, and which instances are revoked.
    fn state_identity(&self, entry: &Object<WorkloadEntry>, group: Option<&Object<WorkloadGroup>>, emits: &mut Emits) {
        let namespace = &self.0.name.namespace;
        let account = service_account(&effective(entry, group.map(|group| &group.spec)));
        emits.fact(Relation::Holder(namespace.clone(), account), Fact::Object(self.0.clone()));
        let of_group = group.map(|group| {
            let name = NamespacedName { namespace: namespace.clone(), name: group.metadata.name.clone() };
            let key = ObjectKey { kind: Kind::WorkloadGroup, name, source: self.0.source };
            (key, &group.metadata)
        });
        for (key, metadata) in of_group.into_iter().chain([(self.0.clone(), &entry.metadata)]) {
            let listed = metadata.annotations.get(REVOKED_ANNOTATION);
            let instances = listed.into_iter().flat_map(|ids| ids.split(',')).map(str::trim);
            for instance in instances.filter(|id| !id.is_empty()) {
                let revoked = Relation::Revoked(namespace.clone(), instance.into());
                emits.fact(revoked, Fact::Object(key.clone()));
            }
        }
    }
}

/// By the entry's own annotation, else its group's for all of its entries, else that of the group itself. `Err`: a word that is not
/// known.
fn has_local_agent(entry: &Object<WorkloadEntry>, group: Option<&Object<WorkloadGroup>>) -> Result<bool, Arc<str>> {
    let of_group = |group: &Object<WorkloadGroup>| {
        let annotation = group.spec.metadata.annotations.get(AGENT_ANNOTATION).cloned();
        annotation.or_else(|| group.metadata.annotations.get(AGENT_ANNOTATION).cloned())
    };
    let agent = entry.metadata.annotations.get(AGENT_ANNOTATION).cloned().or_else(|| of_group(group?));
    match agent {
        Some(agent) if &*agent == LOCAL_AGENT => Ok(true),
        Some(agent) if &*agent != NO_AGENT => Err(agent),
        _ => Ok(false),
    }
}

fn unknown_agent(key: &ObjectKey, agent: &str) -> Problem {
    let field = FieldPath::from("metadata.annotations").key(AGENT_ANNOTATION);
    let message = format!("{agent:?} is no place for its agent to run");
    let fix = format!("write {LOCAL_AGENT}, or {NO_AGENT}, here or in its WorkloadGroup");
    Problem::warning(key.reference(), field, "InvalidValue", message).fix(fix)
}

/// What exists because of a workload with a local agent: it makes its calls through an HTTP proxy, whose table is there
/// even where no service is.
fn state_local(key: &ObjectKey, entry: &WorkloadEntry, emits: &mut Emits) {
    if let Ok(address) = entry.address.parse() {
        emits.fact(Relation::LocalAddress(address), Fact::Object(key.clone()));
    }
    emits.fact(Relation::Local(key.clone()), Fact::Unit);
    emits.fact(Relation::HttpProxies, Fact::Unit);
    emits.fact(Relation::Table(TableKey::HttpProxy { namespace: None }), Fact::Unit);
}

/// Whether a workload of these labels has a proxy that takes the mesh's mutual TLS.
pub(super) fn is_proxied(labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
    labels.get(TLS_MODE_LABEL).is_some_and(|mode| &**mode == MUTUAL_TLS)
}

fn effective(entry: &Object<WorkloadEntry>, group: Option<&WorkloadGroup>) -> WorkloadEntry {
    let own = &entry.spec;
    let none = WorkloadGroup::default();
    let WorkloadGroup { metadata, template, .. } = group.unwrap_or(&none);
    let text = |own: &Arc<str>, inherited: &Arc<str>| if own.is_empty() { inherited.clone() } else { own.clone() };
    let layers = [&template.labels, &metadata.labels, &own.labels].into_iter().flatten();
    let layers = layers.chain(entry.metadata.labels.iter());
    WorkloadEntry {
        address: own.address.clone(),
        ports: if own.ports.is_empty() { template.ports.clone() } else { own.ports.clone() },
        labels: layers.map(|(k, v)| (k.clone(), v.clone())).collect::<BTreeMap<_, _>>(),
        network: text(&own.network, &template.network),
        locality: text(&own.locality, &template.locality),
        weight: if own.weight == 0 { template.weight } else { own.weight },
        service_account: text(&own.service_account, &template.service_account),
    }
}
