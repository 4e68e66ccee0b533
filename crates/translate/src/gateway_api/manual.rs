//! Manual deployments: proxies that somebody else runs, behind a Service that a Gateway names, as Istio's users have them.
//!
//! They need no name of ours and no ServiceAccount of ours: they are the pods of that Service. They listen where it leads.

use super::{
    GATEWAY_LABEL, GatewayRow, MANAGED_BY, MANAGED_LABEL,
    grants::{Target, permitted},
};
use crate::engine::{Built, Emits, Fact, Relation, Unit, View};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tombolo_api::{
    Kind, Object, ObjectKey, Timestamp,
    gateway::Gateway,
    kubernetes::{EndpointSlice, Service, TargetPort, Transport},
};
use tombolo_core::{NamespacedName, Port, Uid};
use tombolo_registry::Entry;

/// Whether a Gateway may name a Service as that of its proxies: one of another namespace has to permit it, as whoever does so decides what
/// those proxies serve.
pub(super) fn is_permitted(view: &View<'_>, gateway: &ObjectKey, service: &ObjectKey) -> bool {
    let NamespacedName { namespace, name } = &service.name;
    permitted(view, gateway, &Target { group: "", kind: Kind::Service.name(), namespace, name })
}

/// That a Gateway names a Service as that of its proxies. The first of all has it: one of the Service's own namespace, then the oldest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    foreign: bool,
    age: Option<Timestamp>,
    gateway: ObjectKey,
}

impl Claim {
    pub(super) fn fact(service: &ObjectKey, key: &ObjectKey, gateway: &Object<Gateway>) -> (Relation, Fact) {
        let foreign = service.name.namespace != key.name.namespace;
        let claim = Self { foreign, age: gateway.metadata.creation_timestamp, gateway: key.clone() };
        (Relation::Claimed(service.clone()), Fact::Claim(Arc::new(claim)))
    }
}

/// A Service that Gateways name as that of their proxies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manual(pub ObjectKey);

/// Whose proxies are behind a Service.
#[derive(Clone, Debug, PartialEq)]
pub enum Front {
    /// Those of this Gateway.
    Of(ObjectKey),
    /// Those that are made by us, for this Gateway of the Service's namespace.
    MadeFor(Arc<str>),
}

impl Unit for Manual {
    type Output = Front;
    const RANK: u8 = 3;

    fn build(&self, view: &View<'_>) -> Option<Built<Front>> {
        let mut claims = view.relation(Relation::Claimed(self.0.clone()));
        let Some(Fact::Claim(first)) = claims.next() else { return None };
        let labels = view.object::<Service>(&self.0).map(|service| &service.metadata.labels);
        if let Some(labels) = labels.filter(|labels| labels.get(MANAGED_LABEL).is_some_and(|by| &**by == MANAGED_BY)) {
            let gateway = labels.get(GATEWAY_LABEL).cloned().unwrap_or_default();
            return Some(Built::from(Front::MadeFor(gateway)));
        }
        let mut emits = Emits::default();
        for pod in pods(view, &self.0) {
            let pod = Relation::GatewayPod(self.0.name.namespace.clone(), pod);
            emits.fact(pod, Fact::Object(first.gateway.clone()));
        }
        Some(Built { output: Front::Of(first.gateway.clone()), emits })
    }
}

/// Why a Gateway is not reached through a Service that it names; `None` where it is.
pub(super) fn refusal(view: &View<'_>, gateway: &ObjectKey, service: &ObjectKey) -> Option<String> {
    let (name, from) = (&service.name, &gateway.name.namespace);
    if !is_permitted(view, gateway, service) {
        let fix = format!("a ReferenceGrant there has to let Gateways of {from} name it");
        return Some(format!("Service {name} is another namespace's: {fix}"));
    }
    let whose = match view.unit(&Manual(service.clone()))? {
        Front::MadeFor(other) => format!("is made for Gateway {}/{other}", name.namespace),
        Front::Of(own) if own == gateway => {
            format!("leads to the proxies of Gateway {}", served_instead(view, gateway, service)?.name)
        }
        Front::Of(other) => format!("leads to the proxies of Gateway {}", other.name),
    };
    Some(format!("Service {name} {whose}: name one of this Gateway's own"))
}

/// The Gateway that all pods of a Service serve, where that is another: they are behind a Service of that one too.
fn served_instead<'a>(view: &View<'a>, gateway: &ObjectKey, service: &ObjectKey) -> Option<&'a ObjectKey> {
    let serves = |pod: Uid| {
        let gateways = Relation::GatewayPod(service.name.namespace.clone(), pod);
        view.relation(gateways).find_map(|fact| if let Fact::Object(key) = fact { Some(key) } else { None })
    };
    let served: BTreeSet<&ObjectKey> = pods(view, service).filter_map(serves).collect();
    if served.contains(gateway) { None } else { served.first().copied() }
}

/// The pods behind a Service, whether they are ready or not: a proxy is ready once it was served.
fn pods<'a>(view: &View<'a>, service: &ObjectKey) -> impl Iterator<Item = Uid> + use<'a> {
    slices(view, service).flat_map(|slice| &slice.endpoints).filter_map(|endpoint| endpoint.pod)
}

/// What leads to a port of a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The Service leads to this port of its pods.
    To(Port),
    /// Nothing does: the Service has no such port.
    None,
    /// The Service leads to where it leads from another port too, and that is listened on.
    Taken(Port),
}

/// Where the proxies of a manual deployment listen, for each port of its Gateway.
pub(super) fn ways(view: &View<'_>, service: &ObjectKey, row: &GatewayRow) -> BTreeMap<Port, Way> {
    let ports: BTreeSet<Port> = row.serving().map(|listener| listener.port).collect();
    let Some(object) = view.object::<Service>(service) else {
        return ports.into_iter().map(|port| (port, Way::None)).collect();
    };
    let mut taken: BTreeMap<Port, Port> = BTreeMap::new();
    let way = |port: Port| match target(view, service, object, port) {
        None => (port, Way::None),
        Some(target) => match *taken.entry(target).or_insert(port) {
            first if first == port => (port, Way::To(target)),
            first => (port, Way::Taken(first)),
        },
    };
    ports.into_iter().map(way).collect()
}

/// Where a port of a Gateway is listened on, if it is. One that nothing leads to may be reached in another way, where it is in nobody's.
pub(super) fn bound(ways: &BTreeMap<Port, Way>, port: Port) -> Option<Port> {
    match ways.get(&port)? {
        Way::To(target) => Some(*target),
        Way::None => (!ways.values().any(|way| *way == Way::To(port))).then_some(port),
        Way::Taken(_) => None,
    }
}

/// The port of its pods to which a Service leads from one of its own. Where there are EndpointSlices, those say it: they count for
/// whoever connects, and know what a name stands for.
pub(super) fn target(view: &View<'_>, key: &ObjectKey, service: &Service, port: Port) -> Option<Port> {
    let own = service.ports.iter().find(|own| own.protocol == Transport::Tcp && own.port == port)?;
    let said = match &own.target_port {
        None => Some(port),
        Some(TargetPort::Number(number)) => Some(*number),
        Some(TargetPort::Name(_)) => None,
    };
    let ports = slices(view, key).flat_map(|slice| &slice.ports);
    let ports = ports.filter(|slice| slice.name == own.name && slice.protocol == Transport::Tcp);
    let found: BTreeSet<Port> = ports.filter_map(|slice| slice.port).collect();
    // Pods may give a name several numbers, while they are replaced.
    said.filter(|said| found.is_empty() || found.contains(said)).or(found.first().copied())
}

/// The EndpointSlices of a Service.
pub(super) fn slices<'a>(
    view: &View<'a>,
    service: &ObjectKey,
) -> impl Iterator<Item = &'a Arc<Object<EndpointSlice>>> + use<'a> {
    let slices = view.entry(Entry::Slices(service.source, service.name.clone()));
    let slices: Vec<_> = slices.iter().filter_map(|key| view.object::<EndpointSlice>(key)).collect();
    slices.into_iter()
}

#[cfg(test)]
mod tests;
