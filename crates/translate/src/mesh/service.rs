//! Services by host: who defines one, who sees which definition.

use super::{Allocation, allocate, exposure, merge, owner::Owner};
use crate::{
    engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View},
    ir::Protocol,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::{ObjectKey, Timestamp, istio::Resolution, kubernetes::Transport};
use tombolo_core::{FieldPath, Host, Port, Problem};
use tombolo_registry::Entry;

/// All definitions of one host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service(pub Host);

/// All definitions of one host, the strongest first: at most one a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRow {
    /// The host.
    pub host: Host,
    /// By precedence.
    pub definitions: Vec<Definition>,
}

/// One namespace's definition of a host, merged from that namespace's objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Whose.
    pub namespace: Arc<str>,
    /// What it comes from: Services and ServiceEntries that count, the one that decides first.
    pub owners: Vec<ObjectKey>,
    /// What the deciding owner is.
    pub source: Source,
    /// When the deciding owner was made.
    pub created: Option<Timestamp>,
    /// Ordered by number; at most one of a number and transport.
    pub ports: Vec<ServicePort>,
    /// Virtual addresses (IPs, CIDRs) in one spelling, ordered; empty where there are none.
    pub addresses: Vec<Arc<str>>,
    /// What became of its wish for addresses; `None` where it has its own, or wants none.
    pub allocation: Option<Allocation>,
    /// Whether one client's requests go to one endpoint (`sessionAffinity: ClientIP`).
    pub client_affinity: bool,
    /// Whether workloads with a proxy may be among its endpoints. What it is made from decides, not which endpoints there are:
    /// so their coming and going never changes a cluster.
    pub proxied: bool,
    /// Who sees it.
    pub export: Export,
    /// What does not count, and why.
    pub clashes: Vec<Clash>,
}

/// An object, or a part of it, that does not count because a stronger one says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The object that loses.
    pub owner: ObjectKey,
    /// Its field.
    pub field: FieldPath,
    /// `HostConflict` or `PortConflict`.
    pub reason: &'static str,
    /// Against whom.
    pub message: String,
}

/// What a definition's deciding owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Kubernetes Service that has endpoints.
    Kubernetes,
    /// A Kubernetes Service of type ExternalName: defines nothing that can be routed to.
    ExternalName,
    /// ServiceEntries.
    Entry(Resolution),
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// The port that clients use.
    pub port: Port,
    /// Carries it.
    pub transport: Transport,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// Who sees a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// Everyone.
    Public,
    /// These namespaces; nobody where empty.
    To(BTreeSet<Arc<str>>),
}

impl HostRow {
    /// The definition that proxies (or routes) of a namespace see: their own, else the strongest that is exported to them.
    pub fn seen_by(&self, namespace: &str) -> Option<&Definition> {
        let visible = || self.definitions.iter().filter(|d| d.export.reaches(namespace));
        visible().find(|d| &*d.namespace == namespace).or_else(|| visible().next())
    }

    /// A namespace's own definition, exported or not.
    pub fn of(&self, namespace: &str) -> Option<&Definition> {
        self.definitions.iter().find(|d| &*d.namespace == namespace)
    }
}

impl Definition {
    /// A TCP port by its number.
    pub fn port(&self, port: Port) -> Option<&ServicePort> {
        self.tcp_ports().find(|p| p.port == port)
    }

    /// The ports that proxies serve, if it can be routed to at all.
    pub fn tcp_ports(&self) -> impl Iterator<Item = &ServicePort> {
        let routable = self.source != Source::ExternalName;
        self.ports.iter().filter(move |p| routable && p.transport == Transport::Tcp)
    }

    /// True for a Kubernetes Service without a virtual address: its clients connect to endpoints themselves.
    pub fn is_headless(&self) -> bool {
        self.source == Source::Kubernetes && self.addresses.is_empty()
    }
}

impl Export {
    /// Reads Istio's words: `*` everyone, `.` the own namespace, `~` nobody, else a namespace's name. No word: everyone.
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>, own: &Arc<str>) -> Self {
        let mut namespaces = BTreeSet::new();
        let mut words = words.peekable();
        if words.peek().is_none() {
            return Self::Public;
        }
        for word in words {
            match word {
                "*" => return Self::Public,
                "~" => {}
                "." => drop(namespaces.insert(own.clone())),
                name => drop(namespaces.insert(name.into())),
            }
        }
        Self::To(namespaces)
    }

    /// True where proxies of a namespace see it.
    pub fn reaches(&self, namespace: &str) -> bool {
        match self {
            Self::Public => true,
            Self::To(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl Unit for Service {
    type Output = Arc<HostRow>;
    const RANK: u8 = 2;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let keys = view.entry(Entry::Host(self.0.clone()));
        let owners = keys.iter().filter_map(|key| Some((key.clone(), Owner::of(view, key)?))).collect::<Vec<_>>();
        if owners.is_empty() {
            return None;
        }
        let mut row = merge::merge(self.0.clone(), owners);
        let mut emits = Emits::default();
        allocate::allocate(view, &mut row, &mut emits);
        for definition in &row.definitions {
            for port in definition.tcp_ports() {
                emits.fact(Relation::ServicePort((&row, definition, port.port).into()), Fact::Unit);
            }
            emits.problems.extend(definition.clashes.iter().map(Clash::problem));
        }
        exposure::expose(view, &row, &mut emits);
        Some(Built { output: Arc::new(row), emits })
    }
}

impl Clash {
    fn problem(&self) -> Problem {
        Problem::error(self.owner.reference(), self.field.clone(), self.reason, self.message.clone())
            .fix("give both objects the same, or this one another host")
    }
}

impl From<(&HostRow, &Definition, Port)> for ServicePortKey {
    fn from((row, definition, port): (&HostRow, &Definition, Port)) -> Self {
        Self { host: row.host.clone(), namespace: definition.namespace.clone(), port }
    }
}
