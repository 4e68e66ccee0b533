//! Where each gateway listens on this machine: a loopback address of its own, so that two may have one port.

use super::records::Record;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, TcpListener},
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::{
    Bind,
    engine::{Fact, Relation},
};

/// Added to ports below 1024 for users who may not bind them.
const OFFSET: u16 = 10_000;

/// Which gateway has which address. An address stays with its gateway as long as this run lives, and as long as its record does.
#[derive(Debug)]
pub(crate) struct Addresses {
    source: SourceId,
    low_port_offset: u16,
    given: BTreeMap<NamespacedName, IpAddr>,
    /// Workloads have these: they say so themselves.
    taken: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Goes on from what the last run gave.
    pub(crate) fn new(source: SourceId, records: Vec<Record>) -> Self {
        let gateways = records.into_iter().filter(|record| record.gateway);
        let given = gateways.map(|record| (record.proxy().name, record.address)).collect();
        let low_port_offset = if may_bind_low_ports() { 0 } else { OFFSET };
        Self { source, low_port_offset, given, taken: BTreeSet::new() }
    }

    /// Gives no gateway one of these from now on: they are workloads' own.
    pub(crate) fn avoid(&mut self, taken: BTreeSet<IpAddr>) {
        self.taken = taken;
    }

    /// Where a gateway listens: 127.0.0.1 for the first, 127.0.0.2 for the next, and so on.
    pub(crate) fn bind(&mut self, gateway: &NamespacedName) -> Bind {
        let used = |address: &IpAddr| self.taken.contains(address) || self.given.values().any(|given| given == address);
        let free = || (1..).map(nth).find(|address| !used(address));
        let address = self.given.get(gateway).copied().or_else(free).unwrap_or(nth(1));
        self.given.insert(gateway.clone(), address);
        Bind { address, also: Vec::new(), low_port_offset: self.low_port_offset }
    }

    /// What the control plane must know of a gateway before it has listeners.
    pub(crate) fn fact(&self, gateway: &NamespacedName, bind: Bind) -> (Relation, Fact) {
        let key = ObjectKey { source: self.source, kind: Kind::Gateway, name: gateway.clone() };
        (Relation::Bind(key), Fact::Bind(bind))
    }

    /// What the control plane must know of the gateways of the last run, to give their Envoys what they have.
    pub(crate) fn facts(&self) -> Vec<(Relation, Fact)> {
        let bind = |address| Bind { address, also: Vec::new(), low_port_offset: self.low_port_offset };
        self.given.iter().map(|(gateway, address)| self.fact(gateway, bind(*address))).collect()
    }
}

fn nth(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 0, 0, 0)).saturating_add(n)).into()
}

/// Not only root may: a capability or `net.ipv4.ip_unprivileged_port_start` allow it too. So it is tried.
fn may_bind_low_ports() -> bool {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 1)) {
        Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        Ok(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_an_address_of_its_own_and_keeps_it() {
        let name = |name: &str| NamespacedName::new("shop", name);
        let source = SourceId::new("here");
        let mut addresses = Addresses::new(source, Vec::new());
        let first = addresses.bind(&name("a")).address;
        assert_eq!(first.to_string(), "127.0.0.1");
        assert_eq!(addresses.bind(&name("b")).address.to_string(), "127.0.0.2");
        assert_eq!(addresses.bind(&name("a")).address, first);

        let (namespace, name) = ("shop".to_owned(), "b".to_owned());
        let address = [127, 0, 0, 1].into();
        let record =
            Record { gateway: true, namespace, name: name.clone(), address, process: None, told: String::new() };
        let mut next = Addresses::new(source, vec![record]);
        assert_eq!(next.facts().len(), 1);
        assert_eq!(next.bind(&NamespacedName::new("shop", "a")).address.to_string(), "127.0.0.2");
        assert_eq!(next.bind(&NamespacedName::new("shop", &*name)).address.to_string(), "127.0.0.1");
    }
}
