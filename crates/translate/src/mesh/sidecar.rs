//! What workload proxies see of HTTP services: a virtual host for each, in a route table for each port.

use super::{Definition, HostRow, Service, claims, exposure::kubernetes_name, settings, variant::captured};
use crate::{
    engine::{Built, Emits, Fact, Relation, TableKey, Unit, View},
    envoy,
    ir::{Action, Backend, Forward, Route, Rule, Share, VirtualHost},
};
use std::{net::IpAddr, sync::Arc};
use tombolo_api::gateway::{HeaderModifier, HttpMatch};
use tombolo_core::{Host, Port};
use tombolo_proto::Scope;

/// Sidecars of a namespace are connected. What they have of their own, services state; this calls for what all sidecars share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SidecarNamespace(pub Arc<str>);

/// What all sidecars have, whatever the services: where their connections arrive, and where those to the unknown go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sidecars;

impl Unit for SidecarNamespace {
    type Output = ();
    const RANK: u8 = 9;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        if view.count(Relation::SidecarNamespace(self.0.clone())) == 0 {
            return None;
        }
        let mut emits = Emits::default();
        emits.fact(Relation::Sidecars, Fact::Unit);
        Some(Built { output: (), emits })
    }
}

impl Unit for Sidecars {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        if view.count(Relation::Sidecars) == 0 {
            return None;
        }
        let traffic = settings(view).outbound_traffic;
        let mut emits = Emits::default();
        for resource in [envoy::passthrough(), envoy::black_hole()] {
            emits.resource(Scope::public(), Arc::new(resource));
        }
        emits.resource(captured(&Scope::public()), Arc::new(envoy::virtual_outbound(traffic)));
        Some(Built { output: (), emits })
    }
}

/// The virtual host of a service in the sidecars' route table of a port, as a namespace sees it, or, without one, as all others do. Without
/// domains where the namespace does not see there what all others do.
pub(crate) fn virtual_host(view: &View<'_>, namespace: Option<&str>, host: &Host, port: Port) -> Option<VirtualHost> {
    let table = TableKey::Sidecar { namespace: namespace.map(Arc::from), port };
    if view.count(Relation::VirtualHost(table, host.clone())) == 0 {
        return None;
    }
    let row = view.unit(&Service(host.clone()))?;
    let definition = match namespace {
        Some(namespace) => row.seen_by(namespace)?,
        None => row.public()?,
    };
    let name = format!("{host}:{port}");
    if !definition.port(port).is_some_and(|port| port.protocol.is_http()) {
        return Some(VirtualHost { name, domains: Vec::new(), routes: Vec::new() });
    }
    Some(VirtualHost {
        name,
        domains: domains(view, namespace, row, definition, port),
        routes: vec![default_route(host, definition, port)],
    })
}

/// The names that the service has in a table. Its host is its own; another name is left out where it would stand in the table
/// twice, which Envoy refuses.
pub(super) fn domains(
    view: &View<'_>,
    namespace: Option<&str>,
    row: &HostRow,
    definition: &Definition,
    port: Port,
) -> Vec<String> {
    let mut domains = vec![row.host.to_string()];
    domains.extend(aliases(&row.host, namespace).filter(|alias| !is_host(view, alias, port)));
    for address in definition.all_addresses() {
        if claims::has_address(view, namespace, &row.host, &address, port) {
            domains.extend(address.parse().ok().map(|ip: IpAddr| match ip {
                IpAddr::V4(_) => ip.to_string(),
                IpAddr::V6(_) => format!("[{ip}]"),
            }));
        }
    }
    domains
}

/// The shorter names of a Kubernetes Service; its bare name in its own namespace only.
fn aliases<'a>(host: &'a Host, seen_from: Option<&str>) -> impl Iterator<Item = String> + use<'a> {
    let name = kubernetes_name(host);
    let own = name.is_some_and(|(_, namespace)| seen_from == Some(namespace));
    name.into_iter().flat_map(move |(name, namespace)| {
        let bare = own.then(|| name.to_owned());
        [format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")].into_iter().chain(bare)
    })
}

/// True where a name is some other service's host at this port, whoever sees that.
fn is_host(view: &View<'_>, name: &str, port: Port) -> bool {
    let Ok(host) = Host::parse(name) else { return false };
    view.unit(&Service(host)).is_some_and(|row| row.definitions.iter().any(|d| d.port(port).is_some()))
}

/// Everything to the service. No time limit: the caller has its own, and mesh rules come with routes.
pub(super) fn default_route(host: &Host, definition: &Definition, port: Port) -> Route {
    let backend = Backend { host: host.clone(), port, namespace: definition.namespace.clone() };
    let share = Share {
        backend: Some(backend),
        weight: 1,
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        host: None,
    };
    let forward = Forward {
        shares: vec![share],
        host: None,
        path: None,
        timeout: None,
        try_timeout: None,
        retry: None,
        client_affinity: definition.client_affinity,
    };
    let rule = Rule {
        action: Action::Forward(forward),
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        cors: None,
        mirrors: Vec::new(),
    };
    Route { name: "default".to_owned(), matches: HttpMatch::default(), rule: Arc::new(rule) }
}
