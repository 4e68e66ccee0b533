//! Which proxies the objects want, and where they listen.

use super::{listening::Listening, records::ProxyName};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tombolo_api::{
    Kind,
    gateway::{Gateway, Protocol},
    istio::ReadinessProbe,
};
use tombolo_controlplane::World;
use tombolo_core::Port;
use tombolo_translate::{
    Bind,
    gateway_api::service_account,
    mesh::{Local, LocalRow},
    status::Status,
};

/// The port of a workload's HTTP proxy for its own calls.
const HTTP_PROXY: u16 = 15001;

/// The proxies that are wanted.
pub(crate) type Wanted = BTreeMap<ProxyName, Wish>;

/// A proxy that is wanted.
pub(crate) struct Wish {
    /// Whose identity it has.
    pub(crate) service_account: String,
    /// How its agent finds out whether its workload is healthy; `None` where it does not.
    pub(crate) probe: Option<Arc<ReadinessProbe>>,
    /// Where it listens.
    pub(crate) place: Place,
}

/// Where a proxy listens.
pub(crate) enum Place {
    /// At an address that is yet to be given.
    Gateway(Vec<GatewayListener>),
    /// At its workload's own.
    Workload(IpAddr, Vec<Listening>),
}

impl Place {
    /// The address that comes with it.
    pub(crate) fn own(&self) -> Option<IpAddr> {
        match self {
            Self::Gateway(_) => None,
            Self::Workload(address, _) => Some(*address),
        }
    }
}

/// A listener of a Gateway.
pub(crate) struct GatewayListener {
    name: String,
    port: Port,
    scheme: &'static str,
    host: Option<String>,
}

impl GatewayListener {
    /// Where it is reached, given where the Gateway binds.
    pub(crate) fn bound(self, bind: &Bind) -> Listening {
        let bound = (bind.address, bind.port(self.port)).into();
        let Self { name, port, scheme, host } = self;
        Listening { listener: name, asked: port.get(), bound, scheme, host }
    }
}

/// The Gateways of our classes that are accepted, and the workloads with a local agent that have an address.
pub(crate) fn wanted(world: &World) -> Wanted {
    gateways(world).chain(workloads(world)).collect()
}

fn gateways(world: &World) -> impl Iterator<Item = (ProxyName, Wish)> {
    let accepted = |status: &Status| match status {
        Status::Gateway(gateway) => gateway.conditions.iter().any(|c| c.kind == "Accepted" && c.status),
        _ => false,
    };
    let ours = world.statuses().filter(move |(key, timed)| key.kind == Kind::Gateway && accepted(timed.status()));
    let gateways = ours.filter_map(|(key, _)| Some((key.name.clone(), world.snapshot().get::<Gateway>(key)?)));
    gateways.map(|(name, gateway)| {
        let listeners = gateway.listeners.iter().filter_map(|listener| {
            let scheme = match listener.protocol {
                Protocol::Http => "http",
                Protocol::Https => "https",
                _ => return None,
            };
            let host = listener.hostname.as_ref().map(ToString::to_string);
            Some(GatewayListener { name: listener.name.to_string(), port: listener.port, scheme, host })
        });
        let service_account = service_account(gateway);
        let place = Place::Gateway(listeners.collect());
        (ProxyName::gateway(name), Wish { service_account, probe: None, place })
    })
}

fn workloads(world: &World) -> impl Iterator<Item = (ProxyName, Wish)> {
    world.workloads().filter_map(|(key, row)| {
        let LocalRow { address, inbound } = world.engine().output(&Local(key.clone()))?;
        let address = (*address)?;
        let inbound = inbound.iter().map(|inbound| Listening {
            listener: format!("takes the mesh's calls for 127.0.0.1:{}", inbound.port),
            asked: inbound.port.get(),
            bound: (address, inbound.port.get()).into(),
            scheme: "mesh",
            host: None,
        });
        let outbound = Listening {
            listener: "HTTP proxy for its own calls".to_owned(),
            asked: HTTP_PROXY,
            bound: (address, HTTP_PROXY).into(),
            scheme: "mesh",
            host: None,
        };
        let place = Place::Workload(address, inbound.chain([outbound]).collect());
        let (service_account, probe) = (row.service_account().to_string(), row.probe.clone());
        Some((ProxyName::workload(key.name.clone()), Wish { service_account, probe, place }))
    })
}
