//! A Gateway: its listeners, and what exists because of them.

use super::{
    class::is_ours,
    deployment::{Deployed, service_account},
    listener_set::{self, ListenerRow, Refusal},
    manual::{self, Claim},
    placement::{is_provisioned, refused_parameters},
};
use crate::engine::{Built, Emits, Fact, GatewayTable, Relation, TableKey, Unit, View};
use std::sync::Arc;
use tombolo_api::{Kind, Object, ObjectKey, gateway};
use tombolo_core::{Host, Port};

/// A Gateway's listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gateway(pub ObjectKey);

/// A Gateway of ours, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayRow {
    /// The generation that was checked.
    pub generation: i64,
    /// Why it is not accepted, whatever its listeners.
    pub refused: Option<Refusal>,
    /// Its listeners, in the spec's order.
    pub listeners: Vec<ListenerRow>,
    /// The Service of its proxies, where somebody else deploys those.
    pub(super) manual: Option<Arc<ObjectKey>>,
}

impl GatewayRow {
    /// The listeners that serve: accepted, and with a certificate where one is needed.
    pub fn serving(&self) -> impl Iterator<Item = &ListenerRow> {
        self.listeners.iter().filter(|l| self.refused.is_none() && l.serves())
    }

    /// The listeners that serve on a port.
    pub fn on_port(&self, port: Port) -> impl Iterator<Item = &ListenerRow> {
        self.serving().filter(move |l| l.port == port)
    }

    /// The listeners that requests to another one may be meant for. They need not serve: what is wrong with a listener must not give
    /// its requests to somebody else's routes.
    pub(super) fn beside<'a>(&'a self, listener: &'a ListenerRow) -> impl Iterator<Item = &'a ListenerRow> {
        let others = self.listeners.iter().filter(|other| other.name != listener.name);
        others.filter(|other| other.port == listener.port && other.receives() == listener.receives())
    }
}

impl Unit for Gateway {
    /// `None` for the Gateways of others.
    type Output = Option<Arc<GatewayRow>>;
    const RANK: u8 = 2;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let gateway = view.object::<gateway::Gateway>(&self.0)?;
        if !is_ours(view, &self.0, &gateway.gateway_class_name) {
            return Some(Built::from(None));
        }
        let mut emits = Emits::default();
        let row = GatewayRow {
            generation: gateway.metadata.generation,
            refused: refusal(view, &self.0, gateway),
            listeners: listener_set::check(view, &self.0, gateway, &mut emits),
            manual: manual_service(view, &self.0, gateway),
        };
        if let Some(service) = row.manual.as_ref().filter(|service| manual::is_permitted(view, &self.0, service)) {
            let (relation, claim) = Claim::fact(service, &self.0, gateway);
            emits.fact(relation, claim);
        }
        state_facts(&self.0, &row, &mut emits);
        let holder = Relation::Holder(self.0.name.namespace.clone(), service_account(gateway).into());
        emits.fact(holder, Fact::Object(self.0.clone()));
        Some(Built { output: Some(Arc::new(row)), emits })
    }
}

/// The Service of a Gateway's proxies, where somebody else deploys those into a cluster.
fn manual_service(view: &View<'_>, key: &ObjectKey, gateway: &Object<gateway::Gateway>) -> Option<Arc<ObjectKey>> {
    match Deployed::of(gateway) {
        Deployed::ByHand(name) if is_provisioned(view) => {
            Some(Arc::new(ObjectKey { source: key.source, kind: Kind::Service, name }))
        }
        Deployed::ByHand(_) | Deployed::ByUs(_) | Deployed::Elsewhere(_) => None,
    }
}

/// Why a Gateway is not accepted as a whole.
fn refusal(view: &View<'_>, key: &ObjectKey, gateway: &Object<gateway::Gateway>) -> Option<Refusal> {
    if let Some(address) = gateway.addresses.iter().find(|a| !matches!(&*a.kind, "IPAddress" | "Hostname")) {
        let message = format!("addresses of type {} are not supported: use IPAddress or Hostname", address.kind);
        return Some(Refusal { reason: "UnsupportedAddress", message });
    }
    let parameters = gateway.infrastructure.as_ref()?.parameters_ref.as_ref()?;
    let message = match (&*parameters.group, &*parameters.kind, is_provisioned(view)) {
        ("", "ConfigMap", true) => refused_parameters(view, key)?.to_string(),
        (_, kind, true) => {
            format!("infrastructure.parametersRef names a {kind}, which is not supported: use a ConfigMap")
        }
        (_, kind, false) => format!("infrastructure.parametersRef names a {kind}, which is not supported: remove it"),
    };
    Some(Refusal { reason: "InvalidParameters", message })
}

/// States what exists because of the listeners that serve.
fn state_facts(gateway: &ObjectKey, row: &GatewayRow, emits: &mut Emits) {
    for listener in row.serving() {
        let table = listener.table(gateway);
        emits.fact(Relation::GatewayPort(gateway.clone(), listener.port), Fact::Unit);
        emits.fact(Relation::Table(table.clone()), Fact::Unit);
        // A name of a listener is its own, even where no route serves it: requests for it must not reach the routes of a less
        // specific listener. Where another HTTPS listener serves it, the client reused a connection that was made for another
        // name, and is told so (421: RFC 9110, 15.5.20).
        emits.fact(Relation::VirtualHost(table.clone(), listener.host()), Fact::Name(listener.name.clone()));
        for other in row.beside(listener) {
            let claim = if other.serves() { Fact::Name(other.name.clone()) } else { Fact::Unit };
            emits.fact(Relation::VirtualHost(table.clone(), other.host()), claim);
        }
    }
}

impl ListenerRow {
    /// The names it serves, as one host.
    pub fn host(&self) -> Host {
        self.hostname.clone().unwrap_or_else(Host::any)
    }

    /// The route table of the routes attached to it.
    pub fn table(&self, gateway: &ObjectKey) -> TableKey {
        let own = (self.protocol == gateway::Protocol::Https).then(|| self.name.clone());
        TableKey::Gateway(Arc::new(GatewayTable { gateway: gateway.clone(), port: self.port, listener: own }))
    }
}
