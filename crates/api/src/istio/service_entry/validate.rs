//! What Istio's CRD and its validation refuse and warn of.

use super::{Location, Resolution, ServiceEntry, ServiceEntryPort, WorkloadSelector};
use crate::{
    Object, Report, Spec,
    istio::{AUTO_ALLOCATE_LABEL, check_metadata, workload_entry::Names},
    kubernetes::check,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_core::FieldPath;

impl Spec for ServiceEntry {
    fn validate(object: &Object<Self>, report: &mut Report) {
        let at = FieldPath::from("spec");
        check_metadata(&object.metadata, report);
        check_hosts(&object.spec, &at, report);
        check_addresses(&object.spec, &at.key("addresses"), report);
        check_ports(object, &at.key("ports"), report);
        check_selector(&object.spec, &at, report);
        check_endpoints(&object.spec, &at.key("endpoints"), report);
        check_resolution(&object.spec, &at, report);
        check_export_to(&object.spec.export_to, &object.metadata.namespace, &at.key("exportTo"), report);
    }
}

/// What a protocol's name says of the traffic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// Requests carry a host.
    Http,
    /// Connections carry a server name.
    Tls,
    /// Connections carry neither.
    Opaque,
    Udp,
    /// Found out from the traffic.
    Unset,
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "" => Self::Unset,
            "http" | "http2" | "http_proxy" | "grpc" | "grpc-web" => Self::Http,
            "https" | "tls" => Self::Tls,
            "tcp" | "mongo" | "mysql" | "redis" | "thrift" | "hbone" => Self::Opaque,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    fn of(port: &ServiceEntryPort) -> Self {
        Self::parse(&port.protocol).unwrap_or(Self::Unset)
    }
}

fn check_hosts(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    let at = at.key("hosts");
    let unserved = entry.hosts.partial_wildcards();
    if entry.hosts.is_empty() && unserved.is_empty() {
        report.error(at.clone(), "Required", "no host is given", "name at least one");
    }
    check::at_most(report, &at, entry.hosts.len() + unserved.len(), 256);
    for (i, host) in unserved {
        let message = format!("{host:?} has a wildcard within a label, which is not served");
        report.warning(at.index(*i), "Unsupported", message, "let '*' stand for whole labels, as in *.example.com");
    }
    if entry.resolution == Resolution::DynamicDns {
        return;
    }
    for (i, _) in entry.hosts.places().filter(|(_, host)| host.is_any()) {
        let fix = "name the hosts, or a domain as in *.example.com";
        report.error(at.index(i), "InvalidValue", "a service cannot be every host", fix);
    }
}

fn check_addresses(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    check::at_most(report, at, entry.addresses.len(), 256);
    for (i, address) in entry.addresses.iter().enumerate() {
        let at = at.index(i);
        check::no_longer(report, &at, address, 64);
        if !is_ip_or_cidr(address) {
            let message = format!("{address:?} is neither an IP address nor a CIDR");
            report.error(at, "InvalidValue", message, "write 10.0.0.1, fd00::1 or 10.0.0.0/8");
        } else if address.contains('/') && !matches!(entry.resolution, Resolution::None | Resolution::Static) {
            let fix = "use single addresses, or resolution NONE or STATIC";
            report.error(at, "Conflict", "a CIDR needs resolution NONE or STATIC", fix);
        }
    }
}

fn is_ip_or_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return check::ip(text).is_some() };
    let most = check::ip(address).map(|ip| if ip.is_ipv4() { 32 } else { 128 });
    let plain = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    plain && prefix.parse::<u8>().is_ok_and(|length| most.is_some_and(|most| length <= most))
}

fn check_ports(object: &Object<ServiceEntry>, at: &FieldPath, report: &mut Report) {
    let ports = &object.spec.ports;
    check::at_most(report, at, ports.len(), 256);
    check::distinct(report, "port name", places(ports, at, "name").map(|(at, port)| (at, &port.name)));
    check::distinct(report, "port", places(ports, at, "number").map(|(at, port)| (at, port.number.get())));
    for (i, port) in ports.iter().enumerate() {
        check_port(port, &at.index(i), report);
    }
    let unaddressed = ports.iter().enumerate().filter(|(_, port)| needs_address(object, port));
    for (i, _) in unaddressed {
        let message = "without addresses, connections that carry no host name cannot be told from others to this port";
        report.warning(at.index(i), "Ineffective", message, "set spec.addresses, or the port's protocol");
    }
}

fn places<'a>(
    ports: &'a [ServiceEntryPort],
    at: &'a FieldPath,
    field: &'a str,
) -> impl Iterator<Item = (FieldPath, &'a ServiceEntryPort)> {
    ports.iter().enumerate().map(move |(i, port)| (at.index(i).key(field), port))
}

fn check_port(port: &ServiceEntryPort, at: &FieldPath, report: &mut Report) {
    if !check::is_any_case_label(&port.name) {
        let message = format!("{:?} cannot be the name of a port", port.name);
        report.error(at.key("name"), "InvalidValue", message, "use letters, digits and inner hyphens, at most 63");
    }
    match Protocol::parse(&port.protocol) {
        None => {
            let message = format!("{:?} is not a protocol known here", port.protocol);
            let fix = "use HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, MYSQL or REDIS, or leave it out";
            report.error(at.key("protocol"), "InvalidValue", message, fix);
        }
        Some(Protocol::Udp) => report.unsupported(at.key("protocol"), "remove the port: UDP passes proxies by"),
        Some(_) => {}
    }
}

/// True for a port whose traffic only an address tells from others', where the service has none and is given none.
fn needs_address(object: &Object<ServiceEntry>, port: &ServiceEntryPort) -> bool {
    let declined = object.metadata.label(AUTO_ALLOCATE_LABEL).is_some_and(|v| v.eq_ignore_ascii_case("false"));
    let allocated = object.resolution != Resolution::None && !declined;
    object.addresses.is_empty() && !allocated && matches!(&*port.protocol, "" | "TCP")
}

fn check_selector(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    let Some(WorkloadSelector { labels }) = &entry.workload_selector else { return };
    let at = at.key("workloadSelector");
    if !entry.endpoints.is_empty() {
        let message = "workloadSelector and endpoints exclude each other";
        report.error(at.clone(), "Conflict", message, "remove one of them");
    }
    if labels.is_empty() {
        let message = "without labels it selects every workload of the namespace";
        report.warning(at.clone(), "SelectsAll", message, "set labels");
    }
    if !matches!(entry.resolution, Resolution::Static) {
        let message = "selected workloads need resolution STATIC";
        report.warning(at.clone(), "Ineffective", message, "set resolution to STATIC");
    }
    let at = at.key("labels");
    check::at_most(report, &at, labels.len(), 256);
    for (key, value) in labels {
        if key.is_empty() || key.contains('*') || value.contains('*') {
            let message = "a selector has no wildcards and no empty keys";
            report.error(at.key(key), "InvalidValue", message, "write the label as the workloads have it");
        }
        check::no_longer(report, &at.key(key), value, 63);
    }
}

fn check_endpoints(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    check::at_most(report, at, entry.endpoints.len(), 4096);
    let names: BTreeSet<&str> = entry.ports.iter().map(|port| &*port.name).collect();
    for (i, endpoint) in entry.endpoints.iter().enumerate() {
        let at = at.index(i);
        endpoint.check_limits(&at, report);
        match entry.resolution {
            Resolution::Static => {
                endpoint.check_address(&at, Names::Refused, report);
                endpoint.check_port_names(&at, &names, report);
                if endpoint.is_unix() && names.len() != 1 {
                    let message = "a Unix socket serves a service of exactly one port";
                    report.error(at.key("address"), "Conflict", message, "leave one of spec.ports");
                }
            }
            Resolution::Dns | Resolution::DnsRoundRobin => {
                if check::ip(&endpoint.address).is_none() {
                    endpoint.check_name(&at.key("address"), report);
                }
                endpoint.check_port_names(&at, &names, report);
            }
            Resolution::None | Resolution::DynamicDns => {}
        }
    }
}

fn check_resolution(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    let endpoints = at.key("endpoints");
    match entry.resolution {
        Resolution::None if !entry.endpoints.is_empty() => {
            let fix = "remove them, or set resolution to STATIC or DNS";
            report.error(endpoints, "Conflict", "resolution NONE has no endpoints", fix);
        }
        Resolution::DnsRoundRobin if entry.endpoints.len() > 1 => {
            let fix = "leave one, or set resolution to DNS";
            report.error(endpoints, "Conflict", "resolution DNS_ROUND_ROBIN has at most one endpoint", fix);
        }
        Resolution::DynamicDns => check_dynamic_dns(entry, at, report),
        _ => {}
    }
    if matches!(entry.resolution, Resolution::Dns | Resolution::DnsRoundRobin) && entry.endpoints.is_empty() {
        for (i, host) in entry.hosts.places().filter(|(_, host)| host.is_wildcard() && !host.is_any()) {
            let message = format!("{host} cannot be looked up: without endpoints, the hosts are");
            let fix = "name the hosts, add endpoints, or set resolution to DYNAMIC_DNS";
            report.error(at.key("hosts").index(i), "Conflict", message, fix);
        }
    }
    check_ambiguous_hosts(entry, &at.key("ports"), report);
}

fn check_dynamic_dns(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    for (i, host) in entry.hosts.places().filter(|(_, host)| !host.is_wildcard()) {
        let message = format!("resolution DYNAMIC_DNS is for wildcards, {host} is one name");
        report.error(at.key("hosts").index(i), "Conflict", message, "set resolution to DNS, or use a wildcard");
    }
    if entry.location != Location::MeshExternal {
        let message = "resolution DYNAMIC_DNS is for services outside the mesh";
        report.error(at.key("location"), "Conflict", message, "set location to MESH_EXTERNAL");
    }
    if !entry.endpoints.is_empty() {
        let message = "resolution DYNAMIC_DNS looks the request's own name up: endpoints have no effect";
        report.warning(at.key("endpoints"), "Ineffective", message, "remove them");
    }
}

/// Several hosts on a port are told apart by what requests or connections carry; where they carry nothing, by nothing.
fn check_ambiguous_hosts(entry: &ServiceEntry, at: &FieldPath, report: &mut Report) {
    let hosts = entry.hosts.len() + entry.hosts.partial_wildcards().len();
    if entry.resolution == Resolution::None || hosts < 2 {
        return;
    }
    let named = |port: &ServiceEntryPort| matches!(Protocol::of(port), Protocol::Http | Protocol::Tls);
    for (i, _) in entry.ports.iter().enumerate().filter(|(_, port)| !named(port)) {
        let message = "with several hosts, connections to this port cannot be told apart";
        let fix = "use a protocol that carries a host name (HTTP, HTTP2, GRPC, HTTPS, TLS), or one host an object";
        report.error(at.index(i).key("protocol"), "Conflict", message, fix);
    }
}

fn check_export_to(export_to: &[Arc<str>], namespace: &str, at: &FieldPath, report: &mut Report) {
    for (i, value) in export_to.iter().enumerate() {
        if !matches!(&**value, "." | "*" | "~") && !check::is_any_case_label(value) {
            let message = format!("{value:?} is neither a namespace nor one of '.', '*' and '~'");
            report.error(at.index(i), "InvalidValue", message, "name a namespace");
        }
        if matches!(&**value, "*" | "~") && export_to.len() > 1 {
            let message = format!("{value:?} stands alone");
            report.error(at.index(i), "Conflict", message, "remove it, or all others");
        }
    }
    // `.` and the namespace's own name are the same.
    let names = export_to.iter().map(|value| if &**value == "." { namespace } else { value });
    check::distinct(report, "namespace", names.enumerate().map(|(i, name)| (at.index(i), name)));
}
