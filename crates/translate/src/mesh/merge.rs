//! Several objects that define one host, as definitions: one for each namespace.
//!
//! The rule does not depend on the order in which objects come:
//! - Within a namespace a Kubernetes Service decides before ServiceEntries, then the oldest (objects without a time of
//!   creation count as oldest), then the source, then the name. Who decides says who sees the definition.
//! - Endpoints are found in one way. An owner that finds them in another way than the one that decides is left out; a
//!   Kubernetes Service finds them as resolution STATIC does, and an ExternalName finds none.
//! - Ports are united by number and transport. The first owner to name a port says what is spoken there; an owner that
//!   says otherwise adds no endpoints to that port.
//! - Virtual addresses are united; endpoints of all owners that count are merged, as Istio merges them.
//! - Definitions of different namespaces are never merged. Kubernetes' come first, then the oldest, then by namespace.

use super::{Allocation, Clash, Definition, HostRow, ServicePort, Source, address::canonical, owner::Owner};
use std::sync::Arc;
use tombolo_api::ObjectKey;
use tombolo_core::{FieldPath, Host};

/// All definitions of a host, from everything that says it is this host.
pub(super) fn merge(host: Host, mut owners: Vec<(ObjectKey, Owner<'_>)>) -> HostRow {
    owners.sort_by_cached_key(|(key, owner)| {
        (key.name.namespace.clone(), matches!(owner, Owner::Entry(_)), owner.created(), key.clone())
    });
    let mut definitions: Vec<Definition> = owners
        .chunk_by(|a, b| a.0.name.namespace == b.0.name.namespace)
        .filter_map(|owners| define(&host, owners))
        .collect();
    definitions.shrink_to_fit(); // nearly all have one, and are collected with room for four
    definitions.sort_by_key(Definition::strength);
    HostRow { host, definitions }
}

/// One namespace's owners, the one that decides first, as a definition.
fn define(host: &Host, owners: &[(ObjectKey, Owner<'_>)]) -> Option<Definition> {
    let (first, deciding) = owners.first()?;
    let mut definition = Definition {
        namespace: first.name.namespace.clone(),
        owners: Vec::with_capacity(owners.len()),
        source: deciding.source(),
        created: deciding.created(),
        ports: Vec::new(),
        addresses: Vec::new(),
        allocation: None,
        client_affinity: deciding.client_affinity(),
        proxied: false,
        export: deciding.export(),
        clashes: Vec::new(),
    };
    for (key, owner) in owners {
        if owner.resolution() == deciding.resolution() {
            definition.add(host, key, *owner);
        } else {
            let message = match definition.source {
                Source::ExternalName => format!("{first} defines {host} as an ExternalName, which has no endpoints"),
                _ => format!("{first} defines {host} with another resolution"),
            };
            definition.clash(key, FieldPath::from("spec.resolution"), "HostConflict", message);
        }
    }
    definition.ports.sort_by_key(|port| (port.port, port.transport));
    definition.addresses.sort_unstable();
    definition.addresses.dedup();
    // A wildcard is many hosts, and one address could not tell them apart.
    let wants = !host.is_wildcard() && definition.addresses.is_empty();
    let mut counted = owners.iter().filter(|(_, owner)| owner.resolution() == deciding.resolution());
    if wants && matches!(definition.source, Source::Entry(_)) && counted.any(|(_, owner)| owner.wants_address()) {
        definition.allocation = Some(Allocation::Pending);
    }
    Some(definition)
}

impl Definition {
    fn add(&mut self, host: &Host, key: &ObjectKey, owner: Owner<'_>) {
        self.owners.push(key.clone());
        self.proxied |= owner.may_have_proxies();
        self.addresses.extend(owner.addresses().iter().filter_map(|address| canonical(address)));
        for (i, port) in owner.ports().into_iter().enumerate() {
            let same = self.ports.iter().find(|p| p.port == port.port && p.transport == port.transport);
            match same.map(|p| p.protocol) {
                None => self.ports.push(ServicePort {
                    name: port.name,
                    port: port.port,
                    transport: port.transport,
                    protocol: port.protocol,
                }),
                Some(protocol) if protocol == port.protocol => {}
                Some(_) => {
                    let message =
                        format!("{} defines port {} of {host} with another protocol", self.owners[0], port.port);
                    self.clash(key, FieldPath::from("spec.ports").index(i), "PortConflict", message);
                }
            }
        }
    }

    fn clash(&mut self, owner: &ObjectKey, field: FieldPath, reason: &'static str, message: String) {
        self.clashes.push(Clash { owner: owner.clone(), field, reason, message });
    }

    /// Orders definitions, the strongest first.
    pub(super) fn strength(&self) -> impl Ord + use<> {
        let entry = matches!(self.source, Source::Entry(_));
        let namespace: Arc<str> = self.namespace.clone();
        (entry, self.created, namespace)
    }
}
