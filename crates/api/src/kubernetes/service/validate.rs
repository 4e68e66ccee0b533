//! What the API server refuses of a Service, as far as it is read here.

use super::{Service, ServicePort, ServiceType, TargetPort, Transport};
use crate::{Object, Report, kubernetes::check};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_core::FieldPath;

impl crate::Spec for Service {
    fn validate(object: &Object<Self>, report: &mut Report) {
        let at = FieldPath::from("spec");
        check_ports(&object.spec, &at.key("ports"), report);
        check_addresses(&object.spec, &at, report);
        check_external_name(&object.spec, &at, report);
        check::labels(report, &at.key("selector"), &object.spec.selector);
        check_words(&object.spec, &at, report);
    }
}

fn check_ports(service: &Service, at: &FieldPath, report: &mut Report) {
    let ports = &service.ports;
    if ports.is_empty() && !service.is_headless() && service.kind != ServiceType::ExternalName {
        report.error(at.clone(), "Required", "no port is given", "add a port, or set clusterIP to None");
    }
    for (i, port) in ports.iter().enumerate() {
        check_port(port, ports.len(), &at.index(i), report);
    }
    let named = ports.iter().enumerate().filter(|(_, port)| !port.name.is_empty());
    check::distinct(report, "port name", named.map(|(i, port)| (at.index(i).key("name"), &port.name)));
    let mut seen = BTreeSet::<(Transport, u16)>::new();
    for (i, port) in ports.iter().enumerate() {
        if !seen.insert((port.protocol, port.port.get())) {
            let message = format!("port {} is there already", port.port);
            report.error(at.index(i), "Duplicate", message, "give each port and protocol once");
        }
    }
}

fn check_port(port: &ServicePort, count: usize, at: &FieldPath, report: &mut Report) {
    if port.name.is_empty() && count > 1 {
        let message = "the ports of a Service of several ports have names";
        report.error(at.key("name"), "Required", message, "set name");
    } else if !port.name.is_empty() && !check::is_dns_label(&port.name) {
        let message = format!("{:?} cannot be the name of a port", port.name);
        let fix = "use lower case letters, digits and inner hyphens, at most 63";
        report.error(at.key("name"), "InvalidValue", message, fix);
    }
    if let Some(TargetPort::Name(name)) = &port.target_port
        && !check::is_service_port_name(name)
    {
        let message = format!("{name:?} is neither a port nor the name of one");
        let fix = "use a number from 1 to 65535, or lower case letters, digits and single hyphens, at most 15";
        report.error(at.key("targetPort"), "InvalidValue", message, fix);
    }
    check::app_protocol(report, &at.key("appProtocol"), port.app_protocol.as_deref());
}

fn check_addresses(service: &Service, at: &FieldPath, report: &mut Report) {
    let (one, all) = (&service.cluster_ip, &service.cluster_ips);
    let valid = |address: &str| address == "None" || check::ip(address).is_some();
    let fix = "use an IP address, or None for a headless Service, or leave it out";
    if !one.is_empty() && !valid(one) {
        report.error(at.key("clusterIP"), "InvalidValue", format!("{one:?} is not an IP address"), fix);
    }
    let list = at.key("clusterIPs");
    check::at_most(report, &list, all.len(), 2);
    for (i, address) in all.iter().enumerate().filter(|(_, address)| !valid(address)) {
        report.error(list.index(i), "InvalidValue", format!("{address:?} is not an IP address"), fix);
    }
    check_families(all, &list, report);
    if all.first().is_some_and(|first| first != one) {
        let message = format!("the first address is not clusterIP, {one:?}");
        report.error(list.index(0), "Conflict", message, "give the same address in both");
    }
    if service.is_headless() && matches!(service.kind, ServiceType::NodePort | ServiceType::LoadBalancer) {
        let message = "a Service that is reached from outside has an address of its own";
        report.error(at.key("clusterIP"), "Conflict", message, "leave it out, or set type to ClusterIP");
    }
}

fn check_families(addresses: &[Arc<str>], at: &FieldPath, report: &mut Report) {
    let [first, second] = addresses else { return };
    if &**first == "None" || &**second == "None" {
        report.error(at.clone(), "Conflict", "None stands alone", "remove it, or all others");
    } else if let (Some(first), Some(second)) = (check::ip(first), check::ip(second))
        && first.is_ipv4() == second.is_ipv4()
    {
        report.error(at.index(1), "Conflict", "both addresses are of one IP family", "give one of each");
    }
}

fn check_external_name(service: &Service, at: &FieldPath, report: &mut Report) {
    if service.kind != ServiceType::ExternalName {
        return;
    }
    let name = service.external_name.as_deref().unwrap_or_default();
    let field = at.key("externalName");
    if name.is_empty() {
        report.error(field, "Required", "type ExternalName needs a name", "set externalName");
    } else if !check::is_dns_subdomain(name.strip_suffix('.').unwrap_or(name)) {
        report.error(field, "InvalidValue", format!("{name:?} is not a DNS name"), "use lower case DNS labels");
    }
    if !service.cluster_ip.is_empty() || !service.cluster_ips.is_empty() {
        report.error(at.key("clusterIP"), "Conflict", "type ExternalName has no address", "remove clusterIP");
    }
}

fn check_words(service: &Service, at: &FieldPath, report: &mut Report) {
    let mut check = |name: &str, value: Option<&str>, known: &[&str]| {
        let Some(value) = value.filter(|value| !known.contains(value)) else { return };
        let fix = format!("use {}", known.join(" or "));
        report.error(at.key(name), "InvalidValue", format!("{value:?} is not known"), fix);
    };
    check("sessionAffinity", service.session_affinity.as_deref(), &["None", "ClientIP"]);
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    check("trafficDistribution", service.traffic_distribution.as_deref(), &distributions);
}
