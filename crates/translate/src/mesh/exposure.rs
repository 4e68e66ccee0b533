//! Which definition of a host the sidecars of each namespace see, stated as facts.

use super::{Definition, HostRow, ServicePort, names};
use crate::{
    engine::{Emits, Fact, Relation, TableKey, View},
    ir::Protocol,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_core::{Host, Port};
use tombolo_proto::Scope;

/// States who sees what of a host: once for everyone, and once for each namespace that sees something else and has sidecars.
pub(super) fn expose(view: &View<'_>, row: &HostRow, emits: &mut Emits) {
    let public = row.public();
    // Asked once, whatever the number of ports: what is read is remembered.
    let proxies = view.count(Relation::HttpProxies) > 0;
    for (definition, port) in ports(public) {
        use_port(proxies, None, row, (definition, port), emits);
    }
    names::state(None, row, public, None, emits);
    for namespace in row.mentioned() {
        let seen = row.seen_by(&namespace);
        if !same(public, seen) && is_connected(view, &namespace) {
            for (definition, port) in ports(seen) {
                use_port(proxies, Some(&namespace), row, (definition, port), emits);
            }
            hide(proxies, &namespace, row, (public, seen), emits);
            names::state(Some(&namespace), row, seen, public, emits);
        }
    }
    short_names(view, row, proxies, emits);
}

fn is_connected(view: &View<'_>, namespace: &Arc<str>) -> bool {
    view.count(Relation::SidecarNamespace(namespace.clone())) > 0
}

fn ports(definition: Option<&Definition>) -> impl Iterator<Item = (&Definition, &ServicePort)> {
    definition.into_iter().flat_map(|definition| definition.tcp_ports().map(move |port| (definition, port)))
}

/// A namespace has at most one definition of a host.
fn same(a: Option<&Definition>, b: Option<&Definition>) -> bool {
    a.map(|definition| &definition.namespace) == b.map(|definition| &definition.namespace)
}

/// Ports that all others see and this namespace, which sees another definition, does not: its tables say so.
fn hide(
    proxies: bool,
    namespace: &Arc<str>,
    row: &HostRow,
    (public, seen): (Option<&Definition>, Option<&Definition>),
    emits: &mut Emits,
) {
    let is_served = |port| seen.and_then(|seen| seen.port(port)).is_some_and(|port| port.protocol.is_http());
    for (_, port) in ports(public) {
        if port.protocol.is_http() && !is_served(port.port) {
            for table in tables(proxies, Some(namespace), port.port) {
                emits.fact(Relation::Table(table.clone()), Fact::Unit);
                emits.fact(Relation::VirtualHost(table, row.host.clone()), Fact::Unit);
            }
        }
    }
}

/// The tables that an HTTP service's port stands in: that of sidecars, and where there are HTTP proxies (`proxies`), theirs.
fn tables(proxies: bool, namespace: Option<&Arc<str>>, port: Port) -> impl Iterator<Item = TableKey> + use<> {
    let namespace = namespace.cloned();
    let proxy = proxies.then(|| TableKey::HttpProxy { namespace: namespace.clone() });
    [TableKey::Sidecar { namespace, port }].into_iter().chain(proxy)
}

/// The short name of a Kubernetes Service, `reviews`, is known in its own namespace only: where that has sidecars, it has a
/// virtual host of its own for them, whoever else sees the same definition.
fn short_names(view: &View<'_>, row: &HostRow, proxies: bool, emits: &mut Emits) {
    let Some((_, namespace)) = kubernetes_name(&row.host) else { return };
    let namespace: Arc<str> = namespace.into();
    let Some(seen) = row.seen_by(&namespace) else { return };
    // Where the namespace sees something of its own, that is stated already.
    if same(row.public(), Some(seen)) && is_connected(view, &namespace) {
        for port in seen.tcp_ports().filter(|port| port.protocol.is_http()) {
            table_of(proxies, Some(&namespace), row, (seen, port), emits);
        }
    }
}

fn use_port(
    proxies: bool,
    namespace: Option<&Arc<str>>,
    row: &HostRow,
    (definition, port): (&Definition, &ServicePort),
    emits: &mut Emits,
) {
    let scope = scope(namespace);
    let used = Relation::Uses(scope.clone(), row.host.clone(), port.port);
    emits.fact(used, Fact::Namespace(definition.namespace.clone()));
    if port.protocol.is_http() {
        table_of(proxies, namespace, row, (definition, port), emits);
        emits.fact(Relation::SidecarAddress(scope, "".into(), port.port), Fact::Unit);
        return;
    }
    let service = Fact::Service { host: row.host.clone(), namespace: definition.namespace.clone() };
    if definition.addresses.is_empty() {
        emits.fact(Relation::SidecarAddress(scope.clone(), "".into(), port.port), service.clone());
    } else {
        for address in &definition.addresses {
            // What stands for more than one address cannot be a listener's own: those share the port's.
            let address = if address.contains('/') { "".into() } else { address.clone() };
            emits.fact(Relation::SidecarAddress(scope.clone(), address, port.port), service.clone());
        }
    }
    // Besides, not instead: clients that look names up elsewhere never see what was given here.
    for address in definition.allocated() {
        let at = Relation::SidecarAddress(scope.clone(), address.to_string().into(), port.port);
        emits.fact(at, service.clone());
    }
}

fn table_of(
    proxies: bool,
    namespace: Option<&Arc<str>>,
    row: &HostRow,
    (definition, port): (&Definition, &ServicePort),
    emits: &mut Emits,
) {
    for table in tables(proxies, namespace, port.port) {
        emits.fact(Relation::Table(table.clone()), Fact::Unit);
        emits.fact(Relation::VirtualHost(table, row.host.clone()), Fact::Namespace(definition.namespace.clone()));
    }
    let service = Fact::Service { host: row.host.clone(), namespace: definition.namespace.clone() };
    for address in definition.all_addresses().filter(|address| !address.contains('/')) {
        let claim = Relation::SidecarVip(namespace.cloned(), address, port.port);
        emits.fact(claim, service.clone());
    }
}

/// The scope of what the sidecars of a namespace see besides, or, without one, of what all see.
fn scope(namespace: Option<&Arc<str>>) -> Scope {
    namespace.map_or_else(Scope::public, |namespace| Scope::namespace(namespace))
}

/// The name and namespace of the Kubernetes Service that has this host.
pub(super) fn kubernetes_name(host: &Host) -> Option<(&str, &str)> {
    let (name, namespace) = host.as_str().strip_suffix(".svc.cluster.local")?.split_once('.')?;
    (!host.is_wildcard() && !namespace.contains('.')).then_some((name, namespace))
}

impl HostRow {
    /// The definition that namespaces see which have none of their own: the strongest that is exported to everyone.
    pub(super) fn public(&self) -> Option<&Definition> {
        self.definitions.iter().find(|d| d.export == super::Export::Public)
    }

    /// The namespaces that may see something else than [`HostRow::public`].
    fn mentioned(&self) -> BTreeSet<Arc<str>> {
        let mut namespaces = BTreeSet::new();
        for definition in &self.definitions {
            namespaces.insert(definition.namespace.clone());
            if let super::Export::To(exported) = &definition.export {
                namespaces.extend(exported.iter().cloned());
            }
        }
        namespaces
    }
}

impl Protocol {
    /// True where requests can be routed by what they carry.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2)
    }
}
