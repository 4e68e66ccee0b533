//! What the API server refuses of an EndpointSlice, as far as it is read here.
//!
//! One thing it refuses is accepted: addresses of this host (127.0.0.1). Directories of manifests are where local
//! processes are endpoints.

use super::{AddressType, Endpoint, EndpointPort, EndpointSlice, Hint};
use crate::{Object, Report, kubernetes::check};
use tombolo_core::FieldPath;

impl crate::Spec for EndpointSlice {
    const FLAT: bool = true;

    fn validate(object: &Object<Self>, report: &mut Report) {
        let endpoints = FieldPath::from("endpoints");
        check::at_most(report, &endpoints, object.endpoints.len(), 1000);
        for (i, endpoint) in object.endpoints.iter().enumerate() {
            check_endpoint(endpoint, object.address_type, &endpoints.index(i), report);
        }
        check_ports(&object.ports, &FieldPath::from("ports"), report);
    }
}

fn check_endpoint(endpoint: &Endpoint, kind: AddressType, at: &FieldPath, report: &mut Report) {
    let addresses = at.key("addresses");
    if endpoint.addresses.is_empty() {
        report.error(addresses.clone(), "Required", "no address is given", "give at least one");
    }
    check::at_most(report, &addresses, endpoint.addresses.len(), 100);
    for (i, address) in endpoint.addresses.iter().enumerate().filter(|(_, a)| !kind.is(a)) {
        let message = format!("{address:?} is not an address of type {kind:?}");
        report.error(addresses.index(i), "InvalidValue", message, "correct it, or addressType");
    }
    if let Some(hostname) = endpoint.hostname.as_deref().filter(|h| !check::is_dns_label(h)) {
        let message = format!("{hostname:?} is not a DNS label");
        let fix = "use lower case letters, digits and inner hyphens, at most 63";
        report.error(at.key("hostname"), "InvalidValue", message, fix);
    }
    check_hints(&endpoint.hints.for_zones, &at.key("hints").key("forZones"), report);
    check_hints(&endpoint.hints.for_nodes, &at.key("hints").key("forNodes"), report);
}

fn check_hints(hints: &[Hint], at: &FieldPath, report: &mut Report) {
    check::at_most(report, at, hints.len(), 8);
    check::distinct(report, "name", hints.iter().enumerate().map(|(i, hint)| (at.index(i).key("name"), &hint.name)));
    for (i, _) in hints.iter().enumerate().filter(|(_, hint)| hint.name.is_empty()) {
        report.error(at.index(i).key("name"), "Required", "the name is empty", "name a zone or node");
    }
}

fn check_ports(ports: &[EndpointPort], at: &FieldPath, report: &mut Report) {
    check::at_most(report, at, ports.len(), 20_000);
    check::distinct(report, "port name", ports.iter().enumerate().map(|(i, p)| (at.index(i).key("name"), &p.name)));
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        if !port.name.is_empty() && !check::is_dns_label(&port.name) {
            let message = format!("{:?} cannot be the name of a port", port.name);
            let fix = "use lower case letters, digits and inner hyphens, at most 63";
            report.error(at.key("name"), "InvalidValue", message, fix);
        }
        check::app_protocol(report, &at.key("appProtocol"), port.app_protocol.as_deref());
    }
}

impl AddressType {
    /// True for an address of this type.
    fn is(self, address: &str) -> bool {
        match self {
            Self::IPv4 => check::ip(address).is_some_and(|ip| ip.is_ipv4()),
            Self::IPv6 => check::ip(address).is_some_and(|ip| ip.is_ipv6()),
            Self::FQDN => {
                let name = address.strip_suffix('.').unwrap_or(address);
                name.contains('.') && check::is_dns_subdomain(name)
            }
        }
    }
}
