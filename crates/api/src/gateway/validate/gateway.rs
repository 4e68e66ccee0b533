//! Gateway.

use super::{at_most, capped, frontend, keeps, not_empty, reference, section_name, spec, unique};
use crate::{
    Report,
    gateway::{
        AllowedRoutes, FromNamespaces, Gateway, GatewayAddress, Infrastructure, Listener, ListenerTls, Protocol,
        TlsMode, hostname,
    },
    metadata::check_labels,
    syntax::{self, Broken},
};
use std::net::IpAddr;
use tombolo_core::{FieldPath, Host};

const MOST_LISTENERS: usize = 64;
const MOST_ADDRESSES: usize = 16;
const MOST_CERTIFICATES: usize = 64;
const MOST_OPTIONS: usize = 16;
const MOST_KINDS: usize = 8;
const MOST_LABELS: usize = 8;
const MOST_ANNOTATIONS: usize = 16;
/// Of an option or an annotation.
const MOST_VALUE: usize = 4096;
/// Of a label's or an annotation's key, before the slash: one less than Kubernetes allows.
const MOST_PREFIX: usize = 252;

pub(in crate::gateway) fn gateway(gateway: &Gateway, report: &mut Report) {
    let class = || spec().key("gatewayClassName");
    keeps(syntax::object_name(&gateway.gateway_class_name), "name", class, report);
    listeners(&gateway.listeners, &spec().key("listeners"), report);
    addresses(&gateway.addresses, &spec().key("addresses"), report);
    if let Some(i) = &gateway.infrastructure {
        infrastructure(i, &spec().key("infrastructure"), report);
    }
    if gateway.allowed_listeners.as_ref().is_some_and(|a| a.namespaces.is_some()) {
        report.unsupported(spec().key("allowedListeners"), "write the listeners in the Gateway");
    }
    if let Some(tls) = &gateway.tls {
        frontend::tls(tls, &spec().key("tls"), report);
    }
    if gateway.default_scope.is_some() {
        report.unsupported(spec().key("defaultScope"), "name the Gateway in the routes' parentRefs");
    }
}

fn listeners(list: &[Listener], at: &FieldPath, report: &mut Report) {
    not_empty(list.len(), at, report);
    let list = capped(list, MOST_LISTENERS, at, report);
    let whole = || list.iter().enumerate().filter(|(_, one)| one.fault.is_none());
    whole().for_each(|(i, one)| listener(one, &at.index(i), report));
    unique(list.iter().map(|l| &l.name), |name| format!("name {name}"), |i| at.index(i).key("name"), report);
    let places: Vec<usize> = whole().map(|(i, _)| i).collect();
    unique(
        whole().map(|(_, l)| (l.port, &l.protocol, &l.hostname)),
        |(port, protocol, host)| {
            let host = host.as_ref().map_or("every host", Host::as_str);
            format!("port {port} with {protocol} for {host}")
        },
        |i| at.index(places[i]),
        report,
    );
}

fn listener(l: &Listener, at: &FieldPath, report: &mut Report) {
    section_name(&l.name, at.key("name"), report);
    if let Protocol::Other(name) = &l.protocol {
        keeps(protocol(name), "protocol", || at.key("protocol"), report);
    }
    if let Some(host) = &l.hostname {
        hostname::warn(host, || at.key("hostname"), report);
    }
    if l.hostname.is_some() && matches!(l.protocol, Protocol::Tcp | Protocol::Udp) {
        let message = format!("{} knows no host names", l.protocol);
        report.error(at.key("hostname"), "Forbidden", message, "remove it");
    }
    match (&l.tls, &l.protocol) {
        (Some(_), Protocol::Http | Protocol::Tcp | Protocol::Udp) => {
            let message = format!("{} is not encrypted", l.protocol);
            report.error(at.key("tls"), "Forbidden", message, "remove tls, or use protocol HTTPS or TLS");
        }
        // Of HTTPS without tls, the listener's status tells.
        (None, Protocol::Tls) => {
            let message = "a listener of protocol TLS needs tls";
            report.error(at.key("tls"), "Required", message, "add tls with certificateRefs");
        }
        (Some(t), _) => tls(t, &l.protocol, &at.key("tls"), report),
        (None, _) => {}
    }
    allowed_routes(&l.allowed_routes, &at.key("allowedRoutes"), report);
}

fn protocol(name: &str) -> Option<Broken> {
    let bytes = name.as_bytes();
    let plain = bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    let own = ends_in_path(name, |b| b.is_ascii_alphanumeric());
    if plain || own { syntax::too_long(name, 255) } else { Some("use HTTP, HTTPS, TLS, TCP or UDP".into()) }
}

fn tls(t: &ListenerTls, protocol: &Protocol, at: &FieldPath, report: &mut Report) {
    if *protocol == Protocol::Https && t.mode == TlsMode::Passthrough {
        let fix = "use mode Terminate, or protocol TLS";
        report.error(at.key("mode"), "InvalidValue", "HTTPS must be ended here to be read", fix);
    } else if t.mode == TlsMode::Terminate && t.certificate_refs.is_empty() && t.options.is_empty() {
        let message = "ending TLS needs a certificate";
        report.error(at.key("certificateRefs"), "Required", message, "name a Secret of type kubernetes.io/tls");
    }
    let refs = at.key("certificateRefs");
    for (i, r) in capped(&t.certificate_refs, MOST_CERTIFICATES, &refs, report).iter().enumerate() {
        reference::secret(r, &refs.index(i), report);
    }
    if !t.options.is_empty() {
        let options = at.key("options");
        at_most(t.options.len(), MOST_OPTIONS, &options, report);
        for (key, value) in t.options.iter().take(MOST_OPTIONS) {
            keeps(syntax::too_long(value, MOST_VALUE), "option", || options.key(key), report);
        }
        report.unsupported(options, "remove them");
    }
}

fn allowed_routes(a: &AllowedRoutes, at: &FieldPath, report: &mut Report) {
    let kinds = at.key("kinds");
    for (i, k) in capped(&a.kinds, MOST_KINDS, &kinds, report).iter().enumerate() {
        reference::object((&k.group, &k.kind), None, None, &kinds.index(i), report);
    }
    let at = at.key("namespaces");
    match (a.namespaces.from, &a.namespaces.selector) {
        (FromNamespaces::None, _) => {
            report.error(
                at.key("from"),
                "InvalidValue",
                "\"None\" is not one of All, Selector, Same",
                "use one of these",
            );
        }
        (FromNamespaces::Selector, None) => {
            let message = "no selector is given, so that no route can attach";
            report.warning(at.key("selector"), "Required", message, "add a selector");
        }
        (FromNamespaces::Selector, Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            report.warning(
                at.key("selector"),
                "Ignored",
                "it counts only where from is Selector",
                "set from: Selector",
            );
        }
    }
    if let Some(selector) = &a.namespaces.selector {
        selector.validate(&at.key("selector"), report);
    }
}

fn addresses(list: &[GatewayAddress], at: &FieldPath, report: &mut Report) {
    let list = capped(list, MOST_ADDRESSES, at, report);
    for (i, address) in list.iter().enumerate() {
        let at = at.index(i);
        keeps(address_type(&address.kind), "type", || at.key("type"), report);
        keeps(syntax::too_long(&address.value, 253), "value", || at.key("value"), report);
        keeps(address_value(address), "value", || at.key("value"), report);
    }
    let given: Vec<(usize, &GatewayAddress)> = list
        .iter()
        .enumerate()
        .filter(|(_, a)| !a.value.is_empty() && matches!(&*a.kind, "IPAddress" | "Hostname"))
        .collect();
    let keys = given.iter().map(|(_, a)| (&a.kind, &a.value));
    unique(keys, |(_, value)| value.to_string(), |i| at.index(given[i].0).key("value"), report);
}

fn address_type(kind: &str) -> Option<Broken> {
    let known = kind.starts_with("Hostname") || kind.contains("IPAddress") || kind.contains("NamedAddress");
    let own = ends_in_path(kind, |b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b));
    if known || own { syntax::too_long(kind, 253) } else { Some("use IPAddress or Hostname".into()) }
}

/// True for a domain, a slash and a path, whatever stands before them: the patterns of such types are not tied to the
/// beginning, nor those of well-known ones to both ends. What is no type that is known is for the status to tell.
fn ends_in_path(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let domain_before = |at: usize| at > 0 && (bytes[at - 1].is_ascii_lowercase() || bytes[at - 1].is_ascii_digit());
    let path_after = |at: usize| at + 1 < bytes.len() && bytes[at + 1..].iter().all(|b| allowed(*b));
    text.match_indices('/').any(|(at, _)| domain_before(at) && path_after(at))
}

fn address_value(address: &GatewayAddress) -> Option<Broken> {
    let value = &*address.value;
    match &*address.kind {
        _ if value.is_empty() => None, // any of the type
        "IPAddress" => value.parse::<IpAddr>().err().map(|_| "write an IPv4 or IPv6 address".into()),
        "Hostname" => syntax::dns_subdomain(value.strip_prefix("*.").unwrap_or(value)),
        _ => None,
    }
}

fn infrastructure(i: &Infrastructure, at: &FieldPath, report: &mut Report) {
    let labels = at.key("labels");
    at_most(i.labels.len(), MOST_LABELS, &labels, report);
    check_labels(&i.labels, &labels, report);
    let annotations = at.key("annotations");
    for (map, at) in [(&i.labels, &labels), (&i.annotations, &annotations)] {
        let prefixes = map.keys().filter_map(|key| Some((key, key.split_once('/')?.0)));
        for (key, _) in prefixes.filter(|(_, prefix)| prefix.len() == MOST_PREFIX + 1) {
            let fix = format!("use at most {MOST_PREFIX} characters before the '/'");
            report.error(at.key(key), "InvalidName", "the key's prefix is too long", fix);
        }
    }
    at_most(i.annotations.len(), MOST_ANNOTATIONS, &annotations, report);
    for (key, value) in &i.annotations {
        keeps(syntax::qualified_name(key), "annotation's key", || annotations.key(key), report);
        keeps(syntax::too_long(value, MOST_VALUE), "annotation's value", || annotations.key(key), report);
    }
    if let Some(r) = &i.parameters_ref {
        reference::local(r, &at.key("parametersRef"), report);
    }
}
