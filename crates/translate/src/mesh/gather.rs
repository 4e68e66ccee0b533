//! Where the endpoints of a service's port come from: EndpointSlices, inline endpoints, and workloads by label.

use super::{
    Definition, ServicePort, Source, Workload,
    owner::{Owner, OwnerPort},
    workload::is_proxied,
};
use crate::{
    engine::{Fact, Relation, View},
    ir::{About, Address, Endpoint, Health, Locality},
};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tombolo_api::{
    ObjectKey,
    istio::{Resolution, ServiceEntry, WorkloadEntry},
    kubernetes::{self, AddressType, EndpointSlice, Hints, TargetPort},
};
use tombolo_core::{Host, Port};
use tombolo_registry::Entry;

/// The most that one endpoint may weigh: Envoy adds the weights of a locality in 32 bits, and refuses what does not fit.
const MAX_WEIGHT: u32 = 1_000_000;

/// An endpoint, with what decides who prefers it.
pub(super) struct Candidate<'a> {
    pub(super) endpoint: Endpoint,
    /// The node that it is on; empty where unknown.
    pub(super) node: &'a str,
    /// Who should use it.
    pub(super) hints: Option<&'a Hints>,
    /// What its Service says of who should prefer which.
    pub(super) distribution: Option<&'a str>,
    /// The workload that it is, where that has a local agent.
    pub(super) local: Option<&'a ObjectKey>,
}

/// The endpoints of a port from all owners that count, as they come: see [`settle`].
pub(super) fn gather<'a>(
    view: &View<'a>,
    host: &Host,
    definition: &Definition,
    port: &ServicePort,
) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for key in &definition.owners {
        let Some(owner) = Owner::of(view, key) else { continue };
        // An owner that says otherwise of this port clashes, and adds nothing to it.
        let declared = owner.port(port.port, port.transport).filter(|declared| declared.protocol == port.protocol);
        let Some(port) = declared else { continue };
        match owner {
            Owner::Service(service) => {
                slices(view, key, service, &port, &mut all);
                let before = all.len();
                selected(view, key, &service.selector, &port, &mut all);
                let distribution = service.traffic_distribution.as_deref();
                all[before..].iter_mut().for_each(|candidate| candidate.distribution = distribution);
            }
            Owner::Entry(entry) => of_entry(view, key, entry, host, &port, &mut all),
        }
    }
    all
}

/// The last rules, which need all of them: order, repetitions, and that what is on its way out serves where nothing else does.
pub(super) fn settle(all: &mut Vec<Candidate<'_>>, source: Source) {
    // An address may stand in two slices for a moment: the best of what is said of it counts.
    all.sort_unstable_by(|a, b| {
        (&a.endpoint.address, a.endpoint.health, &a.endpoint).cmp(&(
            &b.endpoint.address,
            b.endpoint.health,
            &b.endpoint,
        ))
    });
    all.dedup_by(|later, first| later.endpoint.address == first.endpoint.address);
    all.sort_unstable_by(|a, b| a.endpoint.cmp(&b.endpoint));
    if source == Source::Kubernetes && !all.iter().any(|c| c.endpoint.health == Health::Healthy) {
        let draining = all.iter_mut().filter(|c| c.endpoint.health == Health::Draining);
        draining.for_each(|c| c.endpoint.health = Health::Healthy);
    }
}

/// The endpoints of a Kubernetes Service's EndpointSlices. A slice's ports are joined by name: their numbers already are
/// the workloads'.
fn slices<'a>(
    view: &View<'a>,
    key: &ObjectKey,
    service: &'a kubernetes::Service,
    port: &OwnerPort,
    all: &mut Vec<Candidate<'a>>,
) {
    let about = About { namespace: key.name.namespace.clone(), ..About::default() };
    for slice in view.entry(Entry::Slices(key.source, key.name.clone())).iter() {
        let Some(slice) = view.object::<EndpointSlice>(slice) else { continue };
        let named = |p: &&kubernetes::EndpointPort| p.name == port.name && p.protocol == port.transport;
        let Some(number) = slice.ports.iter().find(named).and_then(|p| p.port) else { continue };
        for endpoint in &slice.endpoints {
            let (Some(health), Some(address)) = (health(endpoint, service), address(slice, endpoint, number)) else {
                continue;
            };
            let locality = Locality { zone: endpoint.zone.clone().unwrap_or_default(), ..Locality::default() };
            all.push(Candidate {
                endpoint: Endpoint { priority: 0, locality, address, weight: 1, health, about: about.clone() },
                node: endpoint.node_name.as_deref().unwrap_or_default(),
                hints: Some(&endpoint.hints),
                distribution: service.traffic_distribution.as_deref(),
                local: None,
            });
        }
    }
}

/// Ready ones serve, serving ones that terminate drain, others are left out.
pub(super) fn health(endpoint: &kubernetes::Endpoint, service: &kubernetes::Service) -> Option<Health> {
    let conditions = endpoint.conditions;
    if conditions.is_ready() || service.publish_not_ready_addresses {
        Some(Health::Healthy)
    } else {
        (conditions.is_serving() && conditions.is_terminating()).then_some(Health::Draining)
    }
}

fn address(slice: &EndpointSlice, endpoint: &kubernetes::Endpoint, port: Port) -> Option<Address> {
    // Its addresses are interchangeable (EndpointSlice API): the first is used.
    let text = endpoint.addresses.first()?;
    match slice.address_type {
        AddressType::IPv4 | AddressType::IPv6 => text.parse().ok().map(|ip| Address::Ip(ip, port)),
        AddressType::FQDN => Some(Address::Name(text.clone(), port)),
    }
}

fn of_entry<'a>(
    view: &View<'a>,
    key: &ObjectKey,
    entry: &'a ServiceEntry,
    host: &Host,
    port: &OwnerPort,
    all: &mut Vec<Candidate<'a>>,
) {
    match (&entry.workload_selector, &*entry.endpoints) {
        _ if matches!(entry.resolution, Resolution::None | Resolution::DynamicDns) => {}
        (Some(selector), _) => selected(view, key, &selector.labels, port, all),
        (None, []) if entry.resolution != Resolution::Static && !host.is_wildcard() => {
            // Resolution by name without endpoints: the host is where it is.
            let itself = WorkloadEntry { address: host.as_arc(), ..WorkloadEntry::default() };
            all.extend(candidate(&itself, port, &key.name.namespace, "".into()));
        }
        (None, endpoints) => {
            all.extend(endpoints.iter().filter_map(|e| candidate(e, port, &key.name.namespace, "".into())));
        }
    }
}

/// The WorkloadEntries of the owner's namespace that have all of these labels; nobody for no labels.
fn selected<'a>(
    view: &View<'a>,
    owner: &ObjectKey,
    selector: &BTreeMap<Arc<str>, Arc<str>>,
    port: &OwnerPort,
    all: &mut Vec<Candidate<'a>>,
) {
    let Some((key, value)) = selector.first_key_value() else { return };
    let (source, namespace) = (owner.source, owner.name.namespace.clone());
    let labelled = Relation::Labelled { source, namespace, key: key.clone(), value: value.clone() };
    for fact in view.relation(labelled) {
        let Fact::Object(key) = fact else { continue };
        let Some(workload) = view.unit(&Workload(key.clone())) else { continue };
        let entry = &workload.entry;
        if selector.iter().all(|(k, v)| entry.labels.get(k) == Some(v)) {
            let candidate = candidate(entry, port, &key.name.namespace, key.name.name.clone());
            all.extend(candidate.map(|mut candidate| {
                if !workload.healthy {
                    candidate.endpoint.health = Health::Unhealthy;
                }
                Candidate { local: workload.local.then_some(key), ..candidate }
            }));
        }
    }
}

/// A workload as an endpoint of a port; `None` where it has no such port, or no address.
fn candidate<'a>(
    entry: &WorkloadEntry,
    port: &OwnerPort,
    namespace: &Arc<str>,
    workload: Arc<str>,
) -> Option<Candidate<'a>> {
    let number = workload_port(entry, port)?;
    let address = match (entry.address.strip_prefix("unix://"), entry.address.parse::<IpAddr>()) {
        (Some(path), _) => Address::Pipe(path.into()),
        (None, Ok(ip)) => Address::Ip(ip, number),
        (None, Err(_)) if entry.address.is_empty() => return None,
        (None, Err(_)) => Address::Name(entry.address.clone(), number),
    };
    let mut parts = entry.locality.splitn(3, '/').map(Arc::from);
    let mut part = || parts.next().unwrap_or_default();
    let locality = Locality { region: part(), zone: part(), subzone: part() };
    let about = About {
        network: entry.network.clone(),
        namespace: namespace.clone(),
        service_account: entry.service_account.clone(),
        workload,
        proxied: is_proxied(&entry.labels),
    };
    let endpoint = Endpoint {
        priority: 0,
        locality,
        address,
        weight: entry.weight.clamp(1, MAX_WEIGHT),
        health: Health::Healthy,
        about,
    };
    Some(Candidate { endpoint, node: "", hints: None, distribution: None, local: None })
}

/// The workload's own port for the service's port of this name, else the target port by number or by the workload's name for
/// it, else the same number.
fn workload_port(entry: &WorkloadEntry, port: &OwnerPort) -> Option<Port> {
    if let Some(number) = entry.ports.get(&port.name) {
        return Some(*number);
    }
    match &port.target {
        Some(TargetPort::Number(number)) => Some(*number),
        Some(TargetPort::Name(name)) => entry.ports.get(name).copied(),
        None => Some(port.port),
    }
}
