//! What hosts resolve to, for the agents that answer workloads' lookups.
//!
//! One resource a host, and who sees it is who sees the host's clusters. What a service has addresses for, it states itself; a
//! headless Service's name follows its endpoints, so that is a unit of its own: endpoint churn does not touch the service.

use super::{Assignment, Definition, HostRow, Service, Source, exposure::kubernetes_name, gather, owner::Owner};
use crate::{
    engine::{Built, Emits, Fact, Relation, Unit, View},
    ir::{Address, Health},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tombolo_api::{
    ObjectKey,
    kubernetes::{self, AddressType, EndpointSlice},
};
use tombolo_core::Host;
use tombolo_proto::{Resource, ResourceType, Scope, agent::NameInfo};
use tombolo_registry::Entry;

/// The name of a Service without a virtual address, and those of its instances, for the sidecars of a namespace, or, without
/// one, for all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeadlessName {
    /// The namespace.
    pub namespace: Option<Arc<str>>,
    /// The Service's host.
    pub host: Host,
}

/// States what a host resolves to for those of a scope, who see `seen`, where all others see `others`.
pub(super) fn state(
    namespace: Option<&Arc<str>>,
    row: &HostRow,
    seen: Option<&Definition>,
    others: Option<&Definition>,
    emits: &mut Emits,
) {
    let headless = |definition: Option<&Definition>| definition.is_some_and(Definition::is_headless);
    if headless(seen) || headless(others) {
        let relation = Relation::HeadlessName(namespace.cloned(), row.host.clone());
        emits.fact(relation, Fact::Unit);
    }
    if headless(seen) {
        return;
    }
    let info = match seen.and_then(|seen| info(&row.host, seen)) {
        Some(info) => info,
        None if headless(others) || others.and_then(|others| info(&row.host, others)).is_some() => hidden(),
        None => return,
    };
    emits.resource(scope(namespace), name(row.host.as_arc(), &info));
}

/// What a definition with addresses resolves to; `None` where lookups are not for the mesh to answer: it has no address, or
/// networks only.
fn info(host: &Host, definition: &Definition) -> Option<NameInfo> {
    if definition.source == Source::ExternalName {
        return None;
    }
    let ips: Vec<String> = definition.all_addresses().filter_map(|address| Some(ip(&address)?.to_string())).collect();
    (!ips.is_empty()).then(|| described(host, definition, ips))
}

fn ip(address: &str) -> Option<IpAddr> {
    address.parse().ok()
}

fn described(host: &Host, definition: &Definition, ips: Vec<String>) -> NameInfo {
    match (definition.source, kubernetes_name(host)) {
        (Source::Kubernetes, Some((name, namespace))) => NameInfo {
            ips,
            registry: "Kubernetes".to_owned(),
            shortname: name.to_owned(),
            namespace: namespace.to_owned(),
        },
        _ => NameInfo { ips, registry: "External".to_owned(), ..NameInfo::default() },
    }
}

/// A host that is no name for those who see this: see [`tombolo_proto::agent::NAME`].
fn hidden() -> NameInfo {
    NameInfo::default()
}

fn name(host: Arc<str>, info: &NameInfo) -> Arc<Resource> {
    Arc::new(Resource::encode(ResourceType::Name, host, info, Vec::new()))
}

fn scope(namespace: Option<&Arc<str>>) -> Scope {
    namespace.map_or_else(Scope::public, |namespace| Scope::namespace(namespace))
}

impl Unit for HeadlessName {
    type Output = ();
    const RANK: u8 = 5;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        if view.count(Relation::HeadlessName(self.namespace.clone(), self.host.clone())) == 0 {
            return None;
        }
        let row = view.unit(&Service(self.host.clone()))?;
        let headless = |definition: &&Definition| definition.is_headless();
        let (seen, others) = match &self.namespace {
            Some(namespace) => (row.seen_by(namespace), row.public()),
            None => (row.public(), None),
        };
        let mut emits = Emits::default();
        let mut instances = BTreeMap::new();
        // Instances that all others see are hidden, unless they are seen here too.
        if let Some(others) = others.filter(headless) {
            instances.extend(listed(view, others).ready.into_keys().flatten().map(|label| (label, hidden())));
        }
        if let Some(seen) = seen.filter(headless) {
            self.show(view, row, seen, &mut instances, &mut emits);
        }
        for (label, info) in instances {
            let host = format!("{label}.{}", self.host);
            if !self.is_taken(view, &host) {
                emits.resource(scope(self.namespace.as_ref()), name(host.into(), &info));
            }
        }
        Some(Built { output: (), emits })
    }
}

/// The endpoints of a Service's EndpointSlices. Ports do not matter: a headless Service needs none.
#[derive(Default)]
struct Listed {
    /// Ready ones, by the label that they are known by below their Service's host; `None` for those without one.
    ready: BTreeMap<Option<Arc<str>>, BTreeSet<IpAddr>>,
    /// The others. Proxies may use them where nothing else serves; names do not lead to them.
    unready: BTreeSet<IpAddr>,
}

impl HeadlessName {
    /// The Service's own name, and what its instances are called.
    fn show(
        &self,
        view: &View<'_>,
        row: &HostRow,
        seen: &Definition,
        instances: &mut BTreeMap<Arc<str>, NameInfo>,
        emits: &mut Emits,
    ) {
        let Listed { ready, unready } = listed(view, seen);
        let mut all: BTreeSet<IpAddr> = ready.values().flatten().copied().collect();
        all.extend(assigned(view, row, seen).difference(&unready));
        // Nobody there is an answer too: somewhere else there is nobody either.
        let own = described(&self.host, seen, texts(&all));
        for (label, addresses) in ready {
            let Some(label) = label else { continue };
            let shortname = format!("{label}.{}", own.shortname);
            instances.insert(label, NameInfo { ips: texts(&addresses), shortname, ..own.clone() });
        }
        emits.resource(scope(self.namespace.as_ref()), name(self.host.as_arc(), &own));
    }

    /// True where the name cannot be one, or is a host that is defined and seen here.
    fn is_taken(&self, view: &View<'_>, host: &str) -> bool {
        let Ok(host) = Host::parse(host) else { return true };
        view.unit(&Service(host)).is_some_and(|row| match &self.namespace {
            Some(namespace) => row.seen_by(namespace).is_some(),
            None => row.public().is_some(),
        })
    }
}

fn texts(addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    addresses.iter().map(IpAddr::to_string).collect()
}

fn listed(view: &View<'_>, definition: &Definition) -> Listed {
    let mut all = Listed::default();
    for key in &definition.owners {
        if let Some(Owner::Service(service)) = Owner::of(view, key) {
            of_slices(view, key, service, &mut all);
        }
    }
    all
}

fn of_slices(view: &View<'_>, key: &ObjectKey, service: &kubernetes::Service, all: &mut Listed) {
    for slice in view.entry(Entry::Slices(key.source, key.name.clone())).iter() {
        let Some(slice) = view.object::<EndpointSlice>(slice) else { continue };
        if slice.address_type == AddressType::FQDN {
            continue;
        }
        for endpoint in &slice.endpoints {
            let Some(address) = endpoint.addresses.first().and_then(|address| ip(address)) else { continue };
            match gather::health(endpoint, service) {
                Some(Health::Healthy) => drop(all.ready.entry(endpoint.hostname.clone()).or_default().insert(address)),
                _ => drop(all.unready.insert(address)),
            }
        }
    }
}

/// What other owners add: machines that the Service selects.
fn assigned(view: &View<'_>, row: &HostRow, definition: &Definition) -> BTreeSet<IpAddr> {
    let assignments =
        definition.tcp_ports().filter_map(|port| view.unit(&Assignment((row, definition, port.port).into())));
    let endpoints = assignments.flat_map(|assigned| &assigned.endpoints);
    let healthy = endpoints.filter(|endpoint| endpoint.health == Health::Healthy);
    healthy
        .filter_map(|endpoint| match endpoint.address {
            Address::Ip(ip, _) => Some(ip),
            Address::Name(..) | Address::Pipe(_) => None,
        })
        .collect()
}
