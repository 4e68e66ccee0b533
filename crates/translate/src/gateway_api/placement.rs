//! Where a Gateway is reached, and what stands in the way, where gateways are deployed into a cluster.
//!
//! Nothing is believed that the cluster does not say: an address is what the Service was given, and a Gateway is programmed only
//! while that Service has an endpoint that takes requests; a listener only while that Service passes its port on.

use super::{
    Deployed, GatewayRow, Refusal,
    manual::{self, Way, slices},
    nodes,
};
use crate::{
    engine::{Emits, Fact, Relation, View},
    status::GatewayAddress,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tombolo_api::{
    Kind, Object, ObjectKey,
    gateway::Gateway,
    kubernetes::{AddressType, Endpoint, EndpointSlice, Service, ServiceType},
};
use tombolo_core::{NamespacedName, Port};

/// `GatewayStatus.addresses` has no more.
const MOST_ADDRESSES: usize = 16;

/// What the outside found to stand in a Gateway's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hindrance {
    /// The object that its `parametersRef` names cannot be used: why, and what to do.
    Parameters(Arc<str>),
    /// What is made for it cannot be made: why, and what to do.
    Resources(Arc<str>),
}

/// What a Service is reached at: addresses, or names.
#[derive(Default)]
pub(super) struct Reachable {
    /// What users are told.
    pub(super) told: Vec<Arc<str>>,
    /// What is told to those that ask for it.
    pub(super) besides: Vec<Arc<str>>,
    /// What is the Service's, and nobody answers at.
    pub(super) unserved: Vec<Arc<str>>,
}

/// Where a Gateway is reached.
pub(super) struct Placement {
    /// Its addresses, as far as it has any.
    pub(super) addresses: Vec<GatewayAddress>,
    /// Why it is not reached there, or not at all the addresses that it wants.
    pub(super) hindrance: Option<Refusal>,
    /// Why some of its ports are not reached where the others are.
    pub(super) closed: BTreeMap<Port, Refusal>,
}

/// True where gateways are deployed into a cluster, and so have addresses of their own.
pub(super) fn is_provisioned(view: &View<'_>) -> bool {
    view.count(Relation::Provisioned) > 0
}

/// Why a Gateway's parameters cannot be used.
pub(super) fn refused_parameters(view: &View<'_>, key: &ObjectKey) -> Option<Arc<str>> {
    view.relation(Relation::Hindered(key.clone())).find_map(|fact| match fact {
        Fact::Hindrance(Hindrance::Parameters(why)) => Some(why.clone()),
        _ => None,
    })
}

/// Where a Gateway is reached; `None` where nobody deploys gateways.
pub(super) fn placement(
    view: &View<'_>,
    key: &ObjectKey,
    gateway: &Object<Gateway>,
    row: &GatewayRow,
    emits: &mut Emits,
) -> Option<Placement> {
    if !is_provisioned(view) {
        return None;
    }
    let (name, by_us) = match Deployed::of(gateway) {
        Deployed::ByUs(name) => (NamespacedName::new(key.name.namespace.clone(), name), true),
        Deployed::ByHand(name) => (name, false),
        Deployed::Elsewhere(host) => {
            let message =
                format!("{host} is no Service of this cluster: name one, as NAME.NAMESPACE.svc.cluster.local");
            return Some(Placement::none(refusal("AddressNotUsable", message)));
        }
    };
    let cannot_be_made = view.relation(Relation::Hindered(key.clone())).find_map(|fact| match fact {
        Fact::Hindrance(Hindrance::Resources(why)) if by_us => Some(refusal("NoResources", why.to_string())),
        _ => None,
    });
    let service = ObjectKey { source: key.source, kind: Kind::Service, name };
    if let Some(why) = (!by_us).then(|| manual::refusal(view, key, &service)).flatten() {
        return Some(Placement::none(refusal("AddressNotUsable", why)));
    }
    let Some(object) = view.object::<Service>(&service) else {
        let absent = match by_us {
            true => refusal("Pending", format!("Service {} is being made", service.name)),
            false => {
                let message = format!(
                    "there is no Service {}: create it, or name another one, as NAME.NAMESPACE.svc.cluster.local",
                    service.name
                );
                refusal("AddressNotUsable", message)
            }
        };
        return Some(Placement::none(cannot_be_made.unwrap_or(absent)));
    };
    if object.kind == ServiceType::NodePort {
        emits.fact(Relation::OnNodes(key.source), Fact::Object(key.clone()));
    }
    let reachable = reachable(view, &service, object).served(object, &families(view, &service));
    Some(Placement {
        hindrance: cannot_be_made.or_else(|| hindrance(view, gateway, &service, object, &reachable)),
        addresses: reachable.addresses(gateway),
        closed: if by_us { unmade(view, row, object, &service) } else { unreached(view, row, &service) },
    })
}

/// What stands in the way of a Gateway whose Service is there.
fn hindrance(
    view: &View<'_>,
    gateway: &Gateway,
    key: &ObjectKey,
    service: &Service,
    reachable: &Reachable,
) -> Option<Refusal> {
    let missing = missing(gateway, reachable, service.kind, &key.name);
    let unready = unready(view, key);
    // Where nodes take requests for their own pods alone, it has no address before a pod is ready.
    if service.kind == ServiceType::NodePort && service.is_local() { unready.or(missing) } else { missing.or(unready) }
}

/// The ports of listeners to which the Service that is made for a Gateway does not lead yet, and so why it is not reached there.
fn unmade(view: &View<'_>, row: &GatewayRow, service: &Service, key: &ObjectKey) -> BTreeMap<Port, Refusal> {
    let ports: BTreeSet<Port> = row.serving().map(|listener| listener.port).collect();
    let unmade = ports.into_iter().filter(|port| manual::target(view, key, service, *port) != Some(*port));
    let why = |port: Port| refusal("Pending", format!("Service {} does not pass port {port} on yet", key.name));
    unmade.map(|port| (port, why(port))).collect()
}

/// The ports of listeners to which the Service of a manual deployment does not lead, and so why the Gateway is not reached there.
fn unreached(view: &View<'_>, row: &GatewayRow, service: &ObjectKey) -> BTreeMap<Port, Refusal> {
    let name = &service.name;
    let why = |port: Port, way: Way| match way {
        Way::To(_) => None,
        Way::None => Some(format!("Service {name} does not lead from port {port} to any port of its pods: add it")),
        Way::Taken(other) => Some(format!(
            "Service {name} leads from ports {other} and {port} to one port of its pods: give each its own"
        )),
    };
    let ways = manual::ways(view, service, row).into_iter();
    ways.filter_map(|(port, way)| Some((port, refusal("AddressNotUsable", why(port, way)?)))).collect()
}

impl Placement {
    fn none(hindrance: Refusal) -> Self {
        Self { addresses: Vec::new(), hindrance: Some(hindrance), closed: BTreeMap::new() }
    }
}

impl Reachable {
    /// Without the addresses of a family in which no pod takes requests, where some take those of another. What a load balancer is
    /// reached at besides the families of its Service is its own affair.
    fn served(mut self, service: &Service, families: &Families) -> Self {
        let own: Families = service.cluster_ips.iter().chain([&service.cluster_ip]).filter_map(family).collect();
        let is_served = |address: &Arc<str>| {
            let is_unserved = |family| {
                let is_its = service.kind == ServiceType::NodePort || own.contains(&family);
                is_its && !families.is_empty() && !families.contains(&family)
            };
            !family(address).is_some_and(is_unserved)
        };
        let (told, unserved) = self.told.into_iter().partition(is_served);
        self.besides.retain(is_served);
        Self { told, unserved, ..self }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.told.iter().chain(&self.besides).any(|one| ip(one) == Some(address))
    }

    /// True for an address that it was given, and that nobody serves yet.
    fn waits(&self, wanted: &str) -> bool {
        ip(wanted).is_some_and(|address| self.unserved.iter().any(|one| ip(one) == Some(address)))
    }

    /// What the Gateway's status says: what was asked for before the rest, of which there may be more than it takes.
    fn addresses(self, gateway: &Gateway) -> Vec<GatewayAddress> {
        let asked: BTreeSet<IpAddr> = wanted(gateway).filter_map(ip).collect();
        let is_asked = |address: &Arc<str>| ip(address).is_some_and(|address| asked.contains(&address));
        let (first, rest): (Vec<_>, Vec<_>) = self.told.into_iter().partition(is_asked);
        let besides = self.besides.into_iter().filter(is_asked);
        let all = first.into_iter().chain(besides).chain(rest).take(MOST_ADDRESSES);
        all.map(|value| GatewayAddress { kind: kind_of(&value), value }).collect()
    }
}

/// The addresses that a Gateway asks for.
fn wanted(gateway: &Gateway) -> impl Iterator<Item = &str> {
    let wanted = gateway.addresses.iter().filter(|a| &*a.kind == "IPAddress" && !a.value.is_empty());
    wanted.map(|address| &*address.value)
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Address families: whether they are IPv6.
type Families = BTreeSet<bool>;

fn family(address: &Arc<str>) -> Option<bool> {
    ip(address).map(|address| address.is_ipv6())
}

/// The families in which pods of a Service take requests. Of pods that have names, that is not known.
fn families(view: &View<'_>, service: &ObjectKey) -> Families {
    let types = slices(view, service).filter(|slice| slice.endpoints.iter().any(|one| one.conditions.is_ready()));
    let of = |slice: &Object<EndpointSlice>| match slice.address_type {
        AddressType::IPv4 => vec![false],
        AddressType::IPv6 => vec![true],
        AddressType::FQDN => vec![false, true],
    };
    types.flat_map(|slice| of(slice)).collect()
}

fn refusal(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message }
}

/// What a Service is reached at: what its load balancer gave; the nodes, where it is open on each; or else its address within the
/// cluster.
fn reachable(view: &View<'_>, key: &ObjectKey, service: &Service) -> Reachable {
    let ingress = || {
        let given = view.relation(Relation::Ingress(key.clone()));
        given.filter_map(|fact| if let Fact::Name(address) = fact { Some(address) } else { None })
    };
    let nodes = || {
        let nodes = view.relation(Relation::Nodes(key.source));
        nodes.filter_map(|fact| if let Fact::Node(node) = fact { Some(&**node) } else { None })
    };
    let given: Vec<&Arc<str>> = match service.kind {
        ServiceType::LoadBalancer => ingress().collect(),
        ServiceType::NodePort if service.is_local() => {
            let own: BTreeSet<&str> = ready(view, key).filter_map(|endpoint| endpoint.node_name.as_deref()).collect();
            return nodes::reachable(nodes().filter(|node| own.contains(&*node.name)));
        }
        ServiceType::NodePort => return nodes::reachable(nodes()),
        ServiceType::ClusterIP if service.cluster_ips.is_empty() => vec![&service.cluster_ip],
        ServiceType::ClusterIP => service.cluster_ips.iter().collect(),
        ServiceType::ExternalName => Vec::new(),
    };
    let used = given.into_iter().filter(|address| !address.is_empty() && &***address != "None");
    Reachable { told: used.cloned().collect(), ..Reachable::default() }
}

fn kind_of(address: &str) -> &'static str {
    if ip(address).is_some() { "IPAddress" } else { "Hostname" }
}

/// The addresses that are wanted, or any, are not there.
fn missing(gateway: &Gateway, given: &Reachable, kind: ServiceType, service: &NamespacedName) -> Option<Refusal> {
    let absent = wanted(gateway).filter(|value| !ip(value).is_some_and(|address| given.has(address)));
    let (waiting, absent): (Vec<&str>, Vec<&str>) = absent.partition(|value| given.waits(value));
    if !absent.is_empty() {
        let whose = match kind {
            ServiceType::NodePort => "a node has that takes its requests",
            _ => "its load balancer has, and only one",
        };
        let message = format!("Service {service} was not given {}: name an address that {whose}", absent.join(", "));
        return Some(refusal("AddressNotUsable", message));
    }
    let unserved = || given.unserved.first().filter(|_| given.told.is_empty()).map(|address| &**address);
    if let Some(address) = waiting.first().copied().or_else(unserved) {
        let message = format!("no pod of Service {service} is ready that has an address of the family of {address}");
        return Some(refusal("Pending", message));
    }
    let needs = match kind {
        ServiceType::NodePort => "a node has to be ready",
        _ => "a load balancer has to give it one",
    };
    given
        .told
        .is_empty()
        .then(|| refusal("AddressNotAssigned", format!("Service {service} waits for an address: {needs}")))
}

/// Nobody answers there yet.
fn unready(view: &View<'_>, service: &ObjectKey) -> Option<Refusal> {
    let message = || format!("no pod of Service {} is ready yet", service.name);
    ready(view, service).next().is_none().then(|| refusal("Pending", message()))
}

/// The endpoints of a Service that take requests.
fn ready<'a>(view: &View<'a>, service: &ObjectKey) -> impl Iterator<Item = &'a Endpoint> + use<'a> {
    slices(view, service).flat_map(|slice| &slice.endpoints).filter(|endpoint| endpoint.conditions.is_ready())
}

#[cfg(test)]
mod tests;
