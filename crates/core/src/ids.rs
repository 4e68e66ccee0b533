//! Ids of objects and proxies.

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc};

/// A namespace and a name. The namespace is empty for cluster-scoped objects. Ordered by namespace, then name, as the
/// Gateway API orders ties.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Joins the two.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl Serialize for NamespacedName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// An object as it is named to people: what a [`crate::Problem`] is about. Also names objects whose kind is not known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind, as written in the manifest; empty where it could not be read.
    pub kind: Arc<str>,
    /// Its namespace and name; the name is empty where it could not be read.
    pub name: NamespacedName,
}

impl ObjectRef {
    /// Joins the two.
    pub fn new(kind: impl Into<Arc<str>>, name: NamespacedName) -> Self {
        Self { kind: kind.into(), name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.is_empty(), self.name.name.is_empty()) {
            (true, true) => f.write_str("document"),
            (false, true) => write!(f, "{} (unnamed)", self.kind),
            (true, false) => write!(f, "object {}", self.name),
            (false, false) => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl Serialize for ObjectRef {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// What a proxy is for, from the first part of its node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProxyKind {
    /// A gateway: node ids begin with `router~`.
    Gateway,
    /// Beside one workload, a pod or a machine: node ids begin with `sidecar~`.
    Sidecar,
}

/// A proxy's node id, as Istio writes it: `sidecar~10.0.0.1~reviews-1.default~default.svc.cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProxyId {
    /// What it is for.
    pub kind: ProxyKind,
    /// The address it claims; not proof of anything.
    pub address: Arc<str>,
    /// Its workload's or gateway's instance, e.g. the pod.
    pub name: NamespacedName,
    /// The DNS domain that short names are completed with.
    pub domain: Arc<str>,
}

/// Why a text is not a [`ProxyId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node id {0:?} is not of the form KIND~ADDRESS~NAME.NAMESPACE~DOMAIN with KIND sidecar or router")]
pub struct ProxyIdError(pub String);

impl FromStr for ProxyId {
    type Err = ProxyIdError;

    fn from_str(text: &str) -> Result<Self, ProxyIdError> {
        let error = || ProxyIdError(text.to_owned());
        let parts: Vec<&str> = text.split('~').collect();
        let [kind, address, name, domain] = parts[..] else { return Err(error()) };
        let kind = match kind {
            "sidecar" => ProxyKind::Sidecar,
            "router" => ProxyKind::Gateway,
            _ => return Err(error()),
        };
        // Names may hold dots, namespaces cannot.
        let (name, namespace) =
            name.rsplit_once('.').filter(|(n, ns)| !n.is_empty() && !ns.is_empty()).ok_or_else(error)?;
        Ok(Self { kind, address: address.into(), name: NamespacedName::new(namespace, name), domain: domain.into() })
    }
}

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProxyKind::Gateway => "router",
            ProxyKind::Sidecar => "sidecar",
        };
        write!(f, "{kind}~{}~{}.{}~{}", self.address, self.name.name, self.name.namespace, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_round_trip() {
        let text = "sidecar~10.0.0.1~v1.reviews.default~default.svc.cluster.local";
        let id: ProxyId = text.parse().unwrap();
        assert_eq!((id.kind, &*id.name.name, &*id.name.namespace), (ProxyKind::Sidecar, "v1.reviews", "default"));
        assert_eq!(id.to_string(), text);
        for bad in ["", "sidecar~a~b~c", "ztunnel~a~b.c~d", "sidecar~a~b.c~d~e", "sidecar~a~.c~d"] {
            assert!(bad.parse::<ProxyId>().is_err(), "{bad}");
        }
    }
}
