//! Where a Gateway is reached, and what stands in the way, where gateways are deployed into a cluster.
//!
//! Nothing is believed that the cluster does not say: an address is what the Service was given, and a Gateway is programmed only
//! while that Service has an endpoint that takes requests.

use super::{Deployed, Refusal};
use crate::{
    engine::{Emits, Fact, Relation, View},
    status::GatewayAddress,
};
use std::{net::IpAddr, sync::Arc};
use tombolo_api::{
    Kind, Object, ObjectKey,
    gateway::Gateway,
    kubernetes::{EndpointSlice, Service, ServiceType},
};
use tombolo_core::NamespacedName;
use tombolo_registry::Entry;

/// `GatewayStatus.addresses` has no more.
pub const MOST_ADDRESSES: usize = 16;

/// What the outside found to stand in a Gateway's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hindrance {
    /// The object that its `parametersRef` names cannot be used: why, and what to do.
    Parameters(Arc<str>),
    /// What is made for it cannot be made: why, and what to do.
    Resources(Arc<str>),
}

/// Where a Gateway is reached.
pub(super) struct Placement {
    /// Its addresses, as far as it has any.
    pub(super) addresses: Vec<GatewayAddress>,
    /// Why it is not reached there, or not at all the addresses that it wants.
    pub(super) hindrance: Option<Refusal>,
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
    emits: &mut Emits,
) -> Option<Placement> {
    if !is_provisioned(view) {
        return None;
    }
    let (name, by_us) = match Deployed::of(gateway) {
        Deployed::ByUs(name) => (name, true),
        Deployed::ByHand(name) => (name, false),
        Deployed::Elsewhere(host) => {
            let namespace = &gateway.metadata.namespace;
            let message = format!("{host} is no Service of namespace {namespace}: name one, or deploy there");
            return Some(Placement::none("AddressNotUsable", message));
        }
    };
    let name = NamespacedName::new(key.name.namespace.clone(), name);
    let service = ObjectKey { source: key.source.clone(), kind: Kind::Service, name };
    let object = view.object::<Service>(&service);
    if object.is_some_and(|object| object.kind == ServiceType::NodePort) {
        emits.fact(Relation::OnNodes(key.source.clone()), Fact::Object(key.clone()));
    }
    let addresses = object.map(|object| addresses(view, &service, object));
    let cannot_be_made = view.relation(Relation::Hindered(key.clone())).find_map(|fact| match fact {
        Fact::Hindrance(Hindrance::Resources(why)) if by_us => Some(refusal("NoResources", why.to_string())),
        _ => None,
    });
    let hindrance = match &addresses {
        _ if cannot_be_made.is_some() => cannot_be_made,
        None if by_us => Some(refusal("Pending", format!("Service {} is being made", service.name))),
        None => {
            let message = format!("there is no Service {}: create it, or name another one", service.name);
            Some(refusal("AddressNotUsable", message))
        }
        Some(addresses) => {
            let kind = object.map(|object| object.kind).unwrap_or_default();
            missing(gateway, addresses, kind, &service.name).or_else(|| unready(view, &service))
        }
    };
    Some(Placement { addresses: addresses.unwrap_or_default(), hindrance })
}

impl Placement {
    fn none(reason: &'static str, message: String) -> Self {
        Self { addresses: Vec::new(), hindrance: Some(refusal(reason, message)) }
    }
}

fn refusal(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message }
}

/// What a Service is reached at: what its load balancer gave; the nodes, where it is open on each; or else its address within the
/// cluster.
fn addresses(view: &View<'_>, key: &ObjectKey, service: &Service) -> Vec<GatewayAddress> {
    let stated = |relation| {
        let names = view.relation(relation).filter_map(|fact| match fact {
            Fact::Name(address) => Some(address),
            _ => None,
        });
        names.collect()
    };
    let given: Vec<&Arc<str>> = match service.kind {
        ServiceType::LoadBalancer => stated(Relation::Ingress(key.clone())),
        ServiceType::NodePort => stated(Relation::NodeAddresses(key.source.clone())),
        ServiceType::ClusterIP if service.cluster_ips.is_empty() => vec![&service.cluster_ip],
        ServiceType::ClusterIP => service.cluster_ips.iter().collect(),
        ServiceType::ExternalName => Vec::new(),
    };
    let used = given.into_iter().filter(|address| !address.is_empty() && &***address != "None");
    used.take(MOST_ADDRESSES).map(|value| GatewayAddress { kind: kind_of(value), value: value.clone() }).collect()
}

fn kind_of(address: &str) -> &'static str {
    if address.parse::<IpAddr>().is_ok() { "IPAddress" } else { "Hostname" }
}

/// The addresses that are wanted, or any, are not there.
fn missing(
    gateway: &Gateway,
    given: &[GatewayAddress],
    kind: ServiceType,
    service: &NamespacedName,
) -> Option<Refusal> {
    let ip = |text: &str| text.parse::<IpAddr>().ok();
    let wanted = gateway.addresses.iter().filter(|a| &*a.kind == "IPAddress" && !a.value.is_empty());
    let absent: Vec<&str> = wanted
        .map(|address| &*address.value)
        .filter(|value| !given.iter().any(|given| ip(&given.value) == ip(value)))
        .collect();
    if !absent.is_empty() {
        let whose = match kind {
            ServiceType::NodePort => "a node has",
            _ => "its load balancer has, and only one",
        };
        let message = format!("Service {service} was not given {}: name an address that {whose}", absent.join(", "));
        return Some(refusal("AddressNotUsable", message));
    }
    let needs = match kind {
        ServiceType::NodePort => "a node has to be ready",
        _ => "a load balancer has to give it one",
    };
    given.is_empty().then(|| refusal("AddressNotAssigned", format!("Service {service} waits for an address: {needs}")))
}

/// Nobody answers there yet.
fn unready(view: &View<'_>, service: &ObjectKey) -> Option<Refusal> {
    let slices = view.entry(Entry::Slices(service.source.clone(), service.name.clone()));
    let mut slices = slices.iter().filter_map(|key| view.object::<EndpointSlice>(key));
    let ready = slices.any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.conditions.is_ready()));
    (!ready).then(|| refusal("Pending", format!("no pod of Service {} is ready yet", service.name)))
}

#[cfg(test)]
mod tests;
