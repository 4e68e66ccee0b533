//! Which listeners take a route, and for which names.

use super::{Gateway, GatewayRow, ListenerRow, Refusal};
use crate::engine::{Built, Emits, Fact, Relation, Unit, View};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tombolo_api::{
    Kind, Object, ObjectKey,
    gateway::{FromNamespaces, GROUP, HttpRoute, ParentRef},
    kubernetes::Namespace,
};
use tombolo_core::{FieldPath, Host, NamespacedName, Problem};

/// Which listeners take a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(pub ObjectKey);

/// A route's parents of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRow {
    /// In the spec's order.
    pub parents: Vec<ParentRow>,
}

/// What became of one reference to a Gateway of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentRow {
    /// Its place in `parentRefs`.
    pub index: usize,
    /// The reference.
    pub parent: ParentRef,
    /// Why no listener takes the route; `None` where one does.
    pub refused: Option<Refusal>,
    /// The listeners that take it.
    pub attachments: Vec<Attachment>,
}

/// A listener that takes a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The listener's Gateway.
    pub gateway: ObjectKey,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The names that reach the route through it.
    pub hosts: Vec<Host>,
}

impl Unit for Route {
    type Output = Arc<RouteRow>;
    const RANK: u8 = 3;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let route = view.object::<HttpRoute>(&self.0)?;
        let mut emits = Emits::default();
        let parents = route.parent_refs.iter().enumerate();
        let mut parents: Vec<_> =
            parents.filter_map(|(i, parent)| self.parent(view, route, i, parent, &mut emits)).collect();
        parents.shrink_to_fit();
        Some(Built { output: Arc::new(RouteRow { parents }), emits })
    }
}

impl Route {
    fn parent(
        &self,
        view: &View<'_>,
        route: &Object<HttpRoute>,
        index: usize,
        parent: &ParentRef,
        emits: &mut Emits,
    ) -> Option<ParentRow> {
        let mut problem = |field: &str, message: String, fix: &str| {
            let field = FieldPath::from("spec.parentRefs").index(index).key(field);
            emits.problems.push(Problem::warning(self.0.reference(), field, "NoMatchingParent", message).fix(fix));
        };
        if (&*parent.group, &*parent.kind) != (GROUP, "Gateway") {
            problem(
                "kind",
                format!("parents of kind {} are not supported", parent.kind),
                "attach the route to a Gateway",
            );
            return None;
        }
        let namespace = parent.namespace.clone().unwrap_or_else(|| self.0.name.namespace.clone());
        let name = NamespacedName { namespace, name: parent.name.clone() };
        let key = ObjectKey { source: self.0.source, kind: Kind::Gateway, name };
        let Some(gateway) = view.unit(&Gateway(key.clone())) else {
            problem("name", format!("there is no Gateway {}", key.name), "create it, or correct the name");
            return None;
        };
        let gateway = gateway.as_ref()?; // another controller's: not ours to judge
        let (attachments, refused) = self.attach(view, route, parent, &key, gateway);
        self.state_facts(gateway, &attachments, emits);
        Some(ParentRow { index, parent: parent.clone(), refused, attachments })
    }

    fn attach(
        &self,
        view: &View<'_>,
        route: &HttpRoute,
        parent: &ParentRef,
        key: &ObjectKey,
        gateway: &GatewayRow,
    ) -> (Vec<Attachment>, Option<Refusal>) {
        let selected = |l: &&ListenerRow| {
            parent.section_name.as_ref().is_none_or(|name| *name == l.name)
                && parent.port.is_none_or(|port| port == l.port)
        };
        let mut refusal = Refusal { reason: "NoMatchingParent", message: no_listener(parent) };
        let mut attachments = Vec::new();
        for listener in gateway.listeners.iter().filter(selected) {
            if !listener.accepted() || !self.allowed(view, key, listener) {
                if refusal.reason == "NoMatchingParent" {
                    let why = if listener.accepted() {
                        "does not allow HTTPRoutes of this namespace"
                    } else {
                        "is not accepted: see its conditions"
                    };
                    let message = format!("listener {:?} {why}", listener.name);
                    refusal = Refusal { reason: "NotAllowedByListeners", message };
                }
                continue;
            }
            let hosts = intersect(&route.hostnames, &listener.host());
            if hosts.is_empty() {
                let message =
                    format!("no hostname of the route is one of listener {:?}'s, {}", listener.name, listener.host());
                refusal = Refusal { reason: "NoMatchingListenerHostname", message };
                continue;
            }
            let hosts = hosts.into_iter().filter(|host| !is_shadowed(host, listener, gateway)).collect();
            attachments.push(Attachment { gateway: key.clone(), listener: listener.name.clone(), hosts });
        }
        attachments.shrink_to_fit();
        let refused = attachments.is_empty().then_some(refusal);
        (attachments, refused)
    }

    fn allowed(&self, view: &View<'_>, gateway: &ObjectKey, listener: &ListenerRow) -> bool {
        let kind = listener.kinds.iter().any(|k| &*k.kind == self.0.kind.name());
        let namespace = &self.0.name.namespace;
        kind && match listener.from {
            FromNamespaces::All => true,
            FromNamespaces::Same => *namespace == gateway.name.namespace,
            FromNamespaces::None => false,
            FromNamespaces::Selector => {
                let name = NamespacedName { namespace: "".into(), name: namespace.clone() };
                let key = ObjectKey { source: self.0.source, kind: Kind::Namespace, name };
                let own = view.object::<Namespace>(&key).into_iter().flat_map(|ns| ns.metadata.labels.iter());
                let mut labels: BTreeMap<_, _> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
                // The one label that Kubernetes gives each namespace, whether anybody wrote it down or not.
                labels.insert("kubernetes.io/metadata.name".into(), namespace.clone());
                listener.selector.as_ref().is_some_and(|selector| selector.matches(&labels))
            }
        }
    }

    fn state_facts(&self, gateway: &GatewayRow, attachments: &[Attachment], emits: &mut Emits) {
        for attachment in attachments {
            let route = || Fact::Object(self.0.clone());
            emits.fact(Relation::Attached(attachment.gateway.clone(), attachment.listener.clone()), route());
            let serving = gateway.serving().find(|l| l.name == attachment.listener);
            let Some(table) = serving.map(|l| l.table(&attachment.gateway)) else { continue };
            for host in &attachment.hosts {
                emits.fact(Relation::VirtualHost(table.clone(), host.clone()), route());
            }
        }
    }
}

fn no_listener(parent: &ParentRef) -> String {
    match (&parent.section_name, parent.port) {
        (Some(name), Some(port)) => format!("the Gateway has no listener {name:?} on port {port}"),
        (Some(name), None) => format!("the Gateway has no listener {name:?}"),
        (None, Some(port)) => format!("the Gateway has no listener on port {port}"),
        (None, None) => "the Gateway has no listener".to_owned(),
    }
}

/// The route's names that the listener serves; the listener's where the route has none. Ordered, without repetitions.
fn intersect(hostnames: &[Host], listener: &Host) -> BTreeSet<Host> {
    match hostnames {
        [] => [listener.clone()].into(),
        some => some.iter().filter_map(|host| host.intersect(listener)).collect(),
    }
}

/// True where requests for a name belong to a more specific listener of the port, whether or not it serves them: listeners are
/// isolated from each other.
fn is_shadowed(host: &Host, listener: &ListenerRow, gateway: &GatewayRow) -> bool {
    let own = listener.host();
    gateway
        .beside(listener)
        .map(ListenerRow::host)
        .any(|other| other != own && own.covers(&other) && other.covers(host))
}
