//! The objects that define services, read alike.

use super::{Export, Source, protocol::protocol, workload::is_proxied};
use crate::{engine::View, ir::Protocol};
use std::sync::Arc;
use tombolo_api::{
    Kind, Metadata, Object, ObjectKey, Timestamp,
    istio::{AUTO_ALLOCATE_LABEL, EXPORT_TO_ANNOTATION, Resolution, ServiceEntry, ServiceEntryPort},
    kubernetes::{self, ServiceType, TargetPort, Transport},
};
use tombolo_core::Port;

/// An object that defines a service.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Service(&'a Object<kubernetes::Service>),
    Entry(&'a Object<ServiceEntry>),
}

/// A port as its owner declares it.
pub(super) struct OwnerPort {
    pub(super) name: Arc<str>,
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) protocol: Protocol,
    /// The workloads' port; `None` for the same number.
    pub(super) target: Option<TargetPort>,
}

impl<'a> Owner<'a> {
    /// Looks an owner up by its key.
    pub(super) fn of(view: &View<'a>, key: &ObjectKey) -> Option<Self> {
        match key.kind {
            Kind::Service => view.object(key).map(|service| Self::Service(service)),
            _ => view.object(key).map(|entry| Self::Entry(entry)),
        }
    }

    fn metadata(self) -> &'a Metadata {
        match self {
            Self::Service(service) => &service.metadata,
            Self::Entry(entry) => &entry.metadata,
        }
    }

    pub(super) fn created(self) -> Option<Timestamp> {
        self.metadata().creation_timestamp
    }

    pub(super) fn source(self) -> Source {
        match self {
            Self::Service(service) if service.kind == ServiceType::ExternalName => Source::ExternalName,
            Self::Service(_) => Source::Kubernetes,
            Self::Entry(entry) => Source::Entry(entry.resolution),
        }
    }

    /// How endpoints are found: owners that differ in it cannot be merged.
    pub(super) fn resolution(self) -> Option<Resolution> {
        match self.source() {
            Source::ExternalName => None,
            Source::Kubernetes => Some(Resolution::Static),
            Source::Entry(resolution) => Some(resolution),
        }
    }

    /// `sessionAffinity: ClientIP`
    pub(super) fn client_affinity(self) -> bool {
        matches!(self, Self::Service(service) if service.session_affinity.as_deref() == Some("ClientIP"))
    }

    /// Its virtual addresses.
    pub(super) fn addresses(self) -> Vec<Arc<str>> {
        match self {
            Self::Service(service) if service.is_headless() => Vec::new(),
            Self::Service(service) if !service.cluster_ips.is_empty() => service.cluster_ips.clone(),
            Self::Service(service) if service.cluster_ip.is_empty() => Vec::new(),
            Self::Service(service) => vec![service.cluster_ip.clone()],
            Self::Entry(entry) => entry.addresses.clone(),
        }
    }

    /// Whether workloads with a proxy may be among its endpoints.
    pub(super) fn may_have_proxies(self) -> bool {
        match self {
            Self::Service(service) => service.kind != ServiceType::ExternalName,
            Self::Entry(entry) => match entry.resolution {
                Resolution::Static => true,
                Resolution::Dns | Resolution::DnsRoundRobin => {
                    entry.workload_selector.is_some() || entry.endpoints.iter().any(|e| is_proxied(&e.labels))
                }
                // Where these go, nobody knows beforehand: whom to expect there neither.
                Resolution::None | Resolution::DynamicDns => false,
            },
        }
    }

    /// True where it may be given addresses if it has none. Without resolution the address decides where a connection goes, so
    /// an invented one leads nowhere; and a label declines.
    pub(super) fn wants_address(self) -> bool {
        let Self::Entry(entry) = self else { return false };
        let declined = entry.metadata.label(AUTO_ALLOCATE_LABEL).is_some_and(|v| v.eq_ignore_ascii_case("false"));
        entry.resolution != Resolution::None && !declined
    }

    pub(super) fn export(self) -> Export {
        let own = &self.metadata().namespace;
        match self {
            Self::Service(service) => {
                let words = service.metadata.annotation(EXPORT_TO_ANNOTATION).unwrap_or_default();
                Export::parse(words.split(',').map(str::trim).filter(|word| !word.is_empty()), own)
            }
            Self::Entry(entry) => Export::parse(entry.export_to.iter().map(|word| &**word), own),
        }
    }

    /// Its port of a number and transport.
    pub(super) fn port(self, port: Port, transport: Transport) -> Option<OwnerPort> {
        match self {
            Self::Service(service) => {
                let mut ports = service.ports.iter();
                ports.find(|p| (p.port, p.protocol) == (port, transport)).map(OwnerPort::of_service)
            }
            Self::Entry(entry) => {
                let mut ports = entry.ports.iter();
                ports.find(|p| (p.number, transport_of(p)) == (port, transport)).map(OwnerPort::of_entry)
            }
        }
    }

    /// Its ports in its own order. A Kubernetes Service of type ExternalName has some that lead nowhere.
    pub(super) fn ports(self) -> Vec<OwnerPort> {
        match self {
            Self::Service(service) => service.ports.iter().map(OwnerPort::of_service).collect(),
            Self::Entry(entry) => entry.ports.iter().map(OwnerPort::of_entry).collect(),
        }
    }
}

impl OwnerPort {
    fn of_service(port: &kubernetes::ServicePort) -> Self {
        Self {
            name: port.name.clone(),
            port: port.port,
            transport: port.protocol,
            protocol: protocol(port.app_protocol.as_deref(), "", &port.name),
            target: port.target_port.clone(),
        }
    }

    fn of_entry(port: &ServiceEntryPort) -> Self {
        Self {
            name: port.name.clone(),
            port: port.number,
            transport: transport_of(port),
            protocol: protocol(None, &port.protocol, &port.name),
            target: port.target_port.map(TargetPort::Number),
        }
    }
}

fn transport_of(port: &ServiceEntryPort) -> Transport {
    if port.protocol.eq_ignore_ascii_case("udp") { Transport::Udp } else { Transport::Tcp }
}
