//! The listeners of a Gateway, checked each and against each other.

use super::{Deployed, deployment::AGENT_PORT, placement::is_provisioned, tls};
use crate::engine::{Emits, View};
use std::sync::Arc;
use tombolo_api::{
    LabelSelector, Object, ObjectKey,
    gateway::{self, AllowedRoutes, FromNamespaces, GROUP, Protocol, RouteGroupKind},
};
use tombolo_core::{Host, Port};

/// Why something is refused: a reason from the specification's lists, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word.
    pub reason: &'static str,
    /// For people: what, and what to do.
    pub message: String,
}

/// A listener, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerRow {
    /// Its name.
    pub name: Arc<str>,
    /// The port.
    pub port: Port,
    /// What is spoken.
    pub protocol: Protocol,
    /// Names served; all where absent.
    pub hostname: Option<Host>,
    /// The kinds of routes that may attach: those asked for, of those that are served.
    pub kinds: Vec<RouteGroupKind>,
    /// Where routes may come from.
    pub from: FromNamespaces,
    /// Which namespaces, for [`FromNamespaces::Selector`].
    pub selector: Option<LabelSelector>,
    /// Why it is not accepted by itself.
    pub refused: Option<Refusal>,
    /// Why it cannot stand beside the others.
    pub conflict: Option<Refusal>,
    /// What it refers to and cannot have.
    pub unresolved: Option<Refusal>,
    /// The resource names of its certificates.
    pub certificates: Vec<String>,
}

impl ListenerRow {
    /// True where routes may attach to it, whether or not it can serve them.
    pub fn accepted(&self) -> bool {
        self.refused.is_none() && self.conflict.is_none()
    }

    /// What its port receives: of both HTTPS and TLS it is TLS, whose names tell connections apart.
    pub(super) fn receives(&self) -> &Protocol {
        if self.protocol == Protocol::Https { &Protocol::Tls } else { &self.protocol }
    }

    /// True where it serves.
    pub fn serves(&self) -> bool {
        self.accepted() && (self.protocol != Protocol::Https || !self.certificates.is_empty())
    }
}

/// Checks the listeners of a Gateway. Its certificates become resources of its own.
pub(super) fn check(
    view: &View<'_>,
    key: &ObjectKey,
    gateway: &Object<gateway::Gateway>,
    emits: &mut Emits,
) -> Vec<ListenerRow> {
    let by_us = is_provisioned(view) && matches!(Deployed::of(gateway), Deployed::ByUs(_));
    let mut rows: Vec<ListenerRow> = gateway.listeners.iter().map(|l| check_one(view, key, l, by_us, emits)).collect();
    let conflicts: Vec<Option<Refusal>> = rows.iter().map(|row| conflict(row, &rows)).collect();
    rows.iter_mut().zip(conflicts).for_each(|(row, conflict)| row.conflict = conflict);
    rows
}

fn check_one(
    view: &View<'_>,
    key: &ObjectKey,
    listener: &gateway::Listener,
    by_us: bool,
    emits: &mut Emits,
) -> ListenerRow {
    let refused = refusal(listener).or_else(|| taken(listener.port).filter(|_| by_us));
    let (kinds, mut unresolved) = kinds(&listener.allowed_routes, refused.is_none());
    let mut certificates = Vec::new();
    if listener.protocol == Protocol::Https && refused.is_none() {
        let outcome = tls::certificates(view, key, listener.tls.as_ref(), emits);
        certificates = outcome.names;
        unresolved = outcome.unresolved.or(unresolved);
    }
    let namespaces = &listener.allowed_routes.namespaces;
    ListenerRow {
        name: listener.name.clone(),
        port: listener.port,
        protocol: listener.protocol.clone(),
        hostname: listener.hostname.clone(),
        kinds,
        from: namespaces.from,
        selector: namespaces.selector.clone(),
        refused,
        conflict: None,
        unresolved,
        certificates,
    }
}

/// Why a listener cannot be served, whatever stands beside it.
fn refusal(listener: &gateway::Listener) -> Option<Refusal> {
    if let Some(fault) = &listener.fault {
        return Some(Refusal { reason: "UnsupportedValue", message: fault.to_string() });
    }
    (!is_supported(&listener.protocol)).then(|| Refusal {
        reason: "UnsupportedProtocol",
        message: format!("protocol {} is not supported: use HTTP or HTTPS", listener.protocol),
    })
}

/// Why a listener cannot have a port of the pods that we make.
fn taken(port: Port) -> Option<Refusal> {
    (port.get() == AGENT_PORT).then(|| Refusal {
        reason: "PortUnavailable",
        message: format!("port {AGENT_PORT} is that of the agent's own pages in the gateway's pods: use another port"),
    })
}

fn is_supported(protocol: &Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Https)
}

/// The kinds asked for that are served; those that are not are unresolved.
fn kinds(allowed: &AllowedRoutes, served: bool) -> (Vec<RouteGroupKind>, Option<Refusal>) {
    if !served {
        return (Vec::new(), None);
    }
    let route = RouteGroupKind { group: GROUP.into(), kind: "HTTPRoute".into() };
    if allowed.kinds.is_empty() {
        return (vec![route], None);
    }
    let (known, unknown): (Vec<_>, Vec<_>) = allowed.kinds.iter().cloned().partition(|kind| *kind == route);
    let unresolved = unknown.first().map(|kind| Refusal {
        reason: "InvalidRouteKinds",
        message: format!("routes of kind {} cannot attach to this listener: use HTTPRoute", kind.kind),
    });
    (known.into_iter().take(1).collect(), unresolved)
}

/// Why a listener cannot stand beside another. No winner is picked: all that conflict are refused, as the specification says.
/// What else is wrong with one does not give its place to the other.
fn conflict(row: &ListenerRow, all: &[ListenerRow]) -> Option<Refusal> {
    if !is_supported(&row.protocol) {
        return None;
    }
    let mut others = all.iter().filter(|o| o.name != row.name && o.port == row.port && is_supported(&o.protocol));
    others.find_map(|other| {
        if other.protocol != row.protocol {
            let message = format!(
                "port {} speaks {} here and {} in listener {:?}: use another port",
                row.port, row.protocol, other.protocol, other.name
            );
            Some(Refusal { reason: "ProtocolConflict", message })
        } else if other.hostname == row.hostname {
            let host = row.hostname.as_ref().map_or("every hostname", Host::as_str);
            let message = format!(
                "listener {:?} serves {host} on port {} too: use another hostname or port",
                other.name, row.port
            );
            Some(Refusal { reason: "HostnameConflict", message })
        } else {
            None
        }
    })
}
