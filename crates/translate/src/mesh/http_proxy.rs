//! What workloads reach through the HTTP proxy of their own Envoy: the HTTP services of every port, in one route table.

use super::{
    Service, Source,
    sidecar::{default_route, domains},
};
use crate::{
    engine::{Relation, TableKey, View},
    ir::VirtualHost,
};
use tombolo_api::istio::Resolution;
use tombolo_core::{Host, Port};

/// The port that a URL of scheme `http` means where it names none.
const HTTP_PORT: u16 = 80;

/// The virtual hosts of a service in the HTTP proxies' table, one for each of its HTTP ports, as a namespace sees it, or, without one, as
/// all others do. None where the namespace does not see what all others do.
pub(crate) fn proxied_hosts(view: &View<'_>, namespace: Option<&str>, host: &Host) -> Option<Vec<VirtualHost>> {
    let table = TableKey::HttpProxy { namespace: namespace.map(Into::into) };
    if view.count(Relation::VirtualHost(table, host.clone())) == 0 {
        return None;
    }
    let row = view.unit(&Service(host.clone()))?;
    let definition = match namespace {
        Some(namespace) => row.seen_by(namespace),
        None => row.public(),
    };
    // Resolution NONE means the address that a connection was for, and nothing but the name says where a proxied request goes:
    // such hosts are as those that the mesh does not know.
    let Some(definition) = definition.filter(|d| d.source != Source::Entry(Resolution::None)) else {
        return Some(Vec::new());
    };
    let ports = definition.tcp_ports().filter(|port| port.protocol.is_http()).map(|port| port.port);
    let host_of_port = |port| VirtualHost {
        name: format!("{host}:{port}"),
        domains: with_port(domains(view, namespace, row, definition, port), port),
        routes: vec![default_route(host, definition, port)],
    };
    Some(ports.map(host_of_port).collect())
}

/// Names as requests to a proxy have them: with the port, but for HTTP's own also without.
fn with_port(names: Vec<String>, port: Port) -> Vec<String> {
    let plain = if port.get() == HTTP_PORT { names.clone() } else { Vec::new() };
    names.into_iter().map(|name| format!("{name}:{port}")).chain(plain).collect()
}
