//! Workloads with a local agent: what their proxies listen for, on their behalf and for their own calls.
//!
//! Nothing is captured here. The proxy has the workload's address, where others reach it; the application listens at the same
//! ports of 127.0.0.1, and makes its own calls through the HTTP proxy at its address.

use super::{Service, Trust, Workload, protocol::protocol, settings, workload::WorkloadRow};
use crate::{
    engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View},
    envoy::{self, HTTP_PROXY_PORT},
    ir::{Inbound, Protocol},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tombolo_api::{
    ObjectKey,
    istio::WorkloadEntry,
    mesh::{MeshSettings, MtlsMode, OutboundTraffic},
};
use tombolo_core::{FieldPath, Port, Problem};
use tombolo_proto::Scope;

/// The proxy of a workload with a local agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Local(pub ObjectKey);

/// What is known of the proxy of a workload with a local agent.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRow {
    /// Where it listens; `None` where the workload has no address of its own, and so no proxy.
    pub address: Option<IpAddr>,
    /// What it listens for on the workload's behalf, ordered by port.
    pub inbound: Arc<[Inbound]>,
}

impl Unit for Local {
    type Output = LocalRow;
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let row = view.unit(&Workload(self.0.clone())).filter(|row| row.local)?;
        let mut emits = Emits::default();
        let address = self.address(view, row, &mut emits);
        let inbound = address.map(|address| self.serve(view, row, address, &mut emits)).unwrap_or_default();
        Some(Built { output: LocalRow { address, inbound: inbound.into() }, emits })
    }
}

impl Local {
    /// The address that is the workload's alone; `None`, and a problem, where it has none.
    fn address(&self, view: &View<'_>, row: &WorkloadRow, emits: &mut Emits) -> Option<IpAddr> {
        let address = &row.entry.address;
        let mut refuse = |reason, message: String| {
            let problem = Problem::error(self.0.reference(), FieldPath::from("spec.address"), reason, message);
            emits.problems.push(problem.fix("give it an address of its own, such as 127.0.0.5"));
            None
        };
        let Ok(ip) = address.parse::<IpAddr>() else {
            let message = format!("its agent cannot listen at {address:?}, which is no IP address");
            return refuse("InvalidAddress", message);
        };
        // The application has the ports of 127.0.0.1, and whoever listens at every address has them too.
        if ip.to_canonical() == IpAddr::from([127, 0, 0, 1]) || ip.is_unspecified() || ip.is_multicast() {
            let message = format!("its agent cannot listen at {ip}: the application behind it listens at 127.0.0.1");
            return refuse("InvalidAddress", message);
        }
        match self.older(view, ip) {
            Some(older) => refuse("AddressConflict", format!("{older} has the address {ip} already")),
            None => Some(ip),
        }
    }

    /// The workload that has the address, if it is another: the oldest, then the first by name.
    fn older<'a>(&self, view: &View<'a>, ip: IpAddr) -> Option<&'a ObjectKey> {
        let claimants: Vec<&ObjectKey> = view
            .relation(Relation::LocalAddress(ip))
            .filter_map(|fact| match fact {
                Fact::Object(key) => Some(key),
                _ => None,
            })
            .collect();
        let created = |key: &ObjectKey| view.object::<WorkloadEntry>(key)?.metadata.creation_timestamp;
        let first = claimants.into_iter().min_by_key(|key| (created(key), *key));
        first.filter(|first| **first != self.0)
    }

    fn serve(&self, view: &View<'_>, row: &WorkloadRow, address: IpAddr, emits: &mut Emits) -> Vec<Inbound> {
        let settings = settings(view);
        let access_log = settings.access_log.as_ref();
        let scope = Scope::workload(&self.0.name.namespace, &self.0.name.name);
        emits.resource(scope.clone(), Arc::new(envoy::http_proxy(address, access_log)));
        if settings.outbound_traffic == OutboundTraffic::AllowAny {
            emits.resource(scope.clone(), Arc::new(envoy::http_proxy_unknown()));
        }
        let ports = self.ports(view, row, emits);
        let inbound = self.inbound(view, &settings, address, ports, emits);
        for inbound in &inbound {
            emits.resource(scope.clone(), Arc::new(envoy::inbound_cluster(inbound)));
            emits.resource(scope.clone(), Arc::new(envoy::inbound_listener(inbound, access_log)));
        }
        inbound
    }

    /// The workload's ports: those at which services reach it, and those that it names.
    fn ports(&self, view: &View<'_>, row: &WorkloadRow, emits: &mut Emits) -> BTreeMap<Port, Protocol> {
        let mut spoken: BTreeMap<Port, BTreeMap<Protocol, &ServicePortKey>> = BTreeMap::new();
        for fact in view.relation(Relation::Inbound(self.0.clone())) {
            let Fact::Inbound { port, service } = fact else { continue };
            let Some(protocol) = service_protocol(view, service) else { continue };
            spoken.entry(*port).or_default().entry(protocol).or_insert(service);
        }
        let mut ports = BTreeMap::new();
        for (port, protocols) in spoken {
            if protocols.len() > 1 {
                emits.problems.push(self.disagree(port, protocols.values()));
            }
            let agreed = protocols.into_keys().collect::<BTreeSet<_>>();
            let protocol = if agreed.len() == 1 { agreed.first().copied() } else { None };
            ports.insert(port, protocol.unwrap_or(Protocol::Tcp));
        }
        for (name, port) in &row.entry.ports {
            ports.entry(*port).or_insert_with(|| protocol(None, "", name));
        }
        ports
    }

    /// Services that say different things of one port: it is served as what each of them is too.
    fn disagree<'a>(&self, port: Port, services: impl Iterator<Item = &'a &'a ServicePortKey>) -> Problem {
        let services: Vec<String> = services.map(|key| format!("{}:{}", key.host, key.port)).collect();
        let message = format!(
            "{} say different things of what is spoken at port {port} of the workload: it is served as TCP",
            services.join(" and ")
        );
        Problem::warning(self.0.reference(), FieldPath::from("spec.ports"), "PortConflict", message)
            .fix("name the services' ports by one protocol, or give one of them another port")
    }

    fn inbound(
        &self,
        view: &View<'_>,
        settings: &MeshSettings,
        address: IpAddr,
        mut ports: BTreeMap<Port, Protocol>,
        emits: &mut Emits,
    ) -> Vec<Inbound> {
        if let Some((port, _)) = ports.iter().find(|(port, _)| port.get() == HTTP_PROXY_PORT) {
            let message = format!("port {port} is that of the HTTP proxy for the workload's own calls");
            let problem = Problem::error(self.0.reference(), FieldPath::from("spec.ports"), "PortConflict", message);
            emits.problems.push(problem.fix("have the application listen at another port"));
            ports.retain(|port, _| port.get() != HTTP_PROXY_PORT);
        }
        let domains =
            view.unit(&Trust).map(|roots| roots.domains.iter().map(|d| d.as_str().into()).collect::<Vec<_>>());
        let others = settings.mtls.mode == MtlsMode::Permissive;
        let trust_domains = domains.unwrap_or_default();
        if trust_domains.is_empty() && !others {
            let message = "nobody can reach it: the mesh demands mutual TLS, and has no certificate authority";
            let problem = Problem::error(self.0.reference(), FieldPath::root(), "NoRoots", message);
            emits.problems.push(problem.fix("set mesh.mtls.mode to PERMISSIVE, or run a certificate authority"));
            return Vec::new();
        }
        let inbound =
            |(port, protocol)| Inbound { address, port, protocol, trust_domains: trust_domains.clone(), others };
        ports.into_iter().map(inbound).collect()
    }
}

fn service_protocol(view: &View<'_>, key: &ServicePortKey) -> Option<Protocol> {
    Some(view.unit(&Service(key.host.clone()))?.of(&key.namespace)?.port(key.port)?.protocol)
}
