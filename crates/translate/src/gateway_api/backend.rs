//! Where a route's references lead.

use super::{
    Refusal,
    grants::{Target, permitted},
};
use crate::{engine::View, ir, mesh};
use tombolo_api::{
    ObjectKey,
    gateway::BackendRef,
    istio::{self, Resolution},
};
use tombolo_core::{Host, NamespacedName, Port};
use tombolo_registry::service_host;

/// The service's port that a reference leads to, or why it leads nowhere.
pub(super) fn resolve(view: &View<'_>, route: &ObjectKey, backend: &BackendRef) -> Result<ir::Backend, Refusal> {
    match (&*backend.group, &*backend.kind) {
        ("", "Service") => service(view, route, backend),
        (istio::GROUP, "Hostname") => hostname(view, route, backend),
        (group, kind) => {
            let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            let message =
                format!("backends of kind {kind} are not supported: use a Service, or a Hostname of {}", istio::GROUP);
            Err(Refusal { reason: "InvalidKind", message })
        }
    }
}

fn service(view: &View<'_>, route: &ObjectKey, backend: &BackendRef) -> Result<ir::Backend, Refusal> {
    let namespace = backend.namespace.as_ref().unwrap_or(&route.name.namespace);
    let target = Target { group: "", kind: "Service", namespace, name: &backend.name };
    if !permitted(view, route, &target) {
        let message = format!(
            "Service {namespace}/{} may not be referred to from namespace {}: create a ReferenceGrant in {namespace}",
            backend.name, route.name.namespace
        );
        return Err(Refusal { reason: "RefNotPermitted", message });
    }
    let name = NamespacedName { namespace: namespace.clone(), name: backend.name.clone() };
    let row = service_host(&name).and_then(|host| view.unit(&mesh::Service(host)));
    let Some((row, definition)) = row.and_then(|row| Some((row, row.of(namespace)?))) else {
        return Err(not_found(format!("there is no Service {name}")));
    };
    if definition.source == mesh::Source::ExternalName {
        let message = format!(
            "Service {name} is of type ExternalName, which would let a route reach any host: use a ServiceEntry and a Hostname"
        );
        return Err(not_found(message));
    }
    port(&row.host, definition, backend.port, || format!("Service {name}"))
}

fn hostname(view: &View<'_>, route: &ObjectKey, backend: &BackendRef) -> Result<ir::Backend, Refusal> {
    let host = Host::parse(&backend.name).map_err(|error| not_found(format!("Hostname {}: {error}", backend.name)))?;
    let row = view.unit(&mesh::Service(host.clone()));
    let Some(definition) = row.and_then(|row| row.seen_by(&route.name.namespace)) else {
        let message =
            format!("no Service or ServiceEntry of host {host} is visible to namespace {}", route.name.namespace);
        return Err(not_found(message));
    };
    if definition.source == mesh::Source::Entry(Resolution::None) {
        let message = format!(
            "host {host} has resolution NONE: it is reached at the address that a client connected to, which here is the \
             gateway's own; give its ServiceEntry another resolution"
        );
        return Err(not_found(message));
    }
    port(&host, definition, backend.port, || format!("host {host}"))
}

fn port(
    host: &Host,
    definition: &mesh::Definition,
    port: Option<Port>,
    name: impl Fn() -> String,
) -> Result<ir::Backend, Refusal> {
    let Some(port) = port else {
        return Err(not_found(format!("{} is named without a port: set it", name())));
    };
    if definition.port(port).is_none() {
        let known: Vec<String> = definition.ports.iter().map(|p| p.port.to_string()).collect();
        return Err(not_found(format!("{} has no TCP port {port}; it has {}", name(), known.join(", "))));
    }
    Ok(ir::Backend { host: host.clone(), port, namespace: definition.namespace.clone() })
}

fn not_found(message: String) -> Refusal {
    Refusal { reason: "BackendNotFound", message }
}
