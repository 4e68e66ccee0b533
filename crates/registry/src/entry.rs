//! The entries that objects are found under besides their keys.

use std::sync::Arc;
use tombolo_api::{AnyObject, Kind, ObjectKey, kubernetes};
use tombolo_core::{Host, NamespacedName, SourceId};

/// An index entry: a question whose answer is a set of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// All objects of a kind, from every source. Only for kinds of which there are few: `GatewayClass`, `MeshInstallation`.
    All(Kind),
    /// The Services and ServiceEntries that say they are this host, from every source.
    Host(Host),
    /// The EndpointSlices of a Service.
    Slices(SourceId, NamespacedName),
    /// The ReferenceGrants in a namespace.
    Grants(SourceId, Arc<str>),
    /// The WorkloadEntries that registered from a WorkloadGroup.
    Members(SourceId, NamespacedName),
}

/// The host name of a Kubernetes Service, as cluster DNS has it.
pub fn service_host(name: &NamespacedName) -> Option<Host> {
    Host::parse(&format!("{}.{}.svc.cluster.local", name.name, name.namespace)).ok()
}

/// The entries that an object is found under, in order. A pure function of the object: what is not listed here is not indexed.
pub(crate) fn entries(key: &ObjectKey, object: &AnyObject) -> Vec<Entry> {
    let source = || key.source;
    let mut entries: Vec<Entry> = match object {
        AnyObject::GatewayClass(_) | AnyObject::MeshInstallation(_) => vec![Entry::All(key.kind)],
        AnyObject::Service(_) => service_host(&key.name).map(Entry::Host).into_iter().collect(),
        AnyObject::ServiceEntry(entry) => entry.hosts.iter().cloned().map(Entry::Host).collect(),
        AnyObject::EndpointSlice(slice) => {
            let service = slice.metadata.labels.get(kubernetes::SERVICE_NAME_LABEL);
            let name =
                |service: &Arc<str>| NamespacedName { namespace: key.name.namespace.clone(), name: service.clone() };
            service.map(|s| Entry::Slices(source(), name(s))).into_iter().collect()
        }
        AnyObject::ReferenceGrant(_) => vec![Entry::Grants(source(), key.name.namespace.clone())],
        AnyObject::WorkloadEntry(entry) => {
            let group = entry.metadata.annotations.get(tombolo_api::istio::GROUP_ANNOTATION);
            let name = |group: &Arc<str>| NamespacedName { namespace: key.name.namespace.clone(), name: group.clone() };
            group.map(|g| Entry::Members(source(), name(g))).into_iter().collect()
        }
        AnyObject::Namespace(_)
        | AnyObject::Secret(_)
        | AnyObject::ConfigMap(_)
        | AnyObject::Gateway(_)
        | AnyObject::HttpRoute(_)
        | AnyObject::WorkloadGroup(_) => Vec::new(),
    };
    entries.sort_unstable();
    entries.dedup();
    entries
}
