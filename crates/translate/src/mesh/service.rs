//! Services by host: who defines one, who sees which definition.

use crate::{
    engine::{Built, ServicePortKey, Unit, View},
    ir::Protocol,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::{ObjectKey, istio::Resolution, kubernetes::Transport};
use tombolo_core::{Host, Port};

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
    /// What it comes from: Services and ServiceEntries, the one that decides first.
    pub owners: Vec<ObjectKey>,
    /// What the deciding owner is.
    pub source: Source,
    /// Ordered by number; at most one of a number and transport.
    pub ports: Vec<ServicePort>,
    /// Virtual addresses (IPs, CIDRs), ordered; empty where there are none.
    pub addresses: Vec<Arc<str>>,
    /// Who sees it.
    pub export: Export,
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
        self.ports.iter().find(|p| p.port == port && p.transport == Transport::Tcp)
    }
}

impl Export {
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

    fn build(&self, _view: &View<'_>) -> Option<Built<Self::Output>> {
        None
    }
}

impl From<(&HostRow, &Definition, Port)> for ServicePortKey {
    fn from((row, definition, port): (&HostRow, &Definition, Port)) -> Self {
        Self { host: row.host.clone(), namespace: definition.namespace.clone(), port }
    }
}
