//! Addresses for hosts that have none: what they are, who gets some, and what is said of that.
//!
//! A workload that looks up a ServiceEntry's host must get an address that only this host has, or its proxy cannot tell by the
//! address what the connection is for. Such a host is given one IPv4 and one IPv6 address. *Which* is decided outside, as it
//! must be remembered; here it is only asked for ([`Relation::NeedsAddress`]) and used ([`Relation::Allocated`]).

use super::{Definition, HostRow, settings};
use crate::engine::{Emits, Fact, Relation, View};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};
use tombolo_core::{FieldPath, Host, Problem};
use xxhash_rust::xxh3::xxh3_64;

/// Octets that the fourth can be: 1 to 254, as some systems take 0 and 255 for a network's own.
const FOURTH: u32 = 254;

/// A pair of addresses that a host can be given: one of `240.240.0.0/16` (reserved, RFC 1112), and the one of `2001:2::/48` (for
/// benchmarks, RFC 5180) that ends in the same four octets. Nothing is routed there: only proxies know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AutoAddress(u32);

impl AutoAddress {
    /// How many there are.
    pub const COUNT: u32 = 256 * FOURTH;

    /// The one that a host gets where that is free. The same on every run: who gets it does not depend on who came first.
    pub fn preferred(host: &Host) -> Self {
        // Below COUNT: fits.
        Self((xxh3_64(host.as_str().as_bytes()) % u64::from(Self::COUNT)) as u32)
    }

    /// The one to try next.
    #[must_use]
    pub fn next(self) -> Self {
        Self((self.0 + 1) % Self::COUNT)
    }

    /// The IPv4 address.
    pub fn v4(self) -> Ipv4Addr {
        let [.., third, _] = (self.0 / FOURTH * 256).to_be_bytes();
        let [.., fourth] = (self.0 % FOURTH + 1).to_be_bytes();
        Ipv4Addr::new(240, 240, third, fourth)
    }

    /// The IPv6 address.
    pub fn v6(self) -> Ipv6Addr {
        let [a, b, c, d] = self.v4().octets().map(u16::from);
        Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, a << 8 | b, c << 8 | d)
    }

    /// Both, IPv4 first.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4().into(), self.v6().into()]
    }

    /// The pair that this IPv4 address is of; `None` where it is not one that is given.
    pub fn of_v4(address: Ipv4Addr) -> Option<Self> {
        let [240, 240, third, fourth @ 1..=254] = address.octets() else { return None };
        Some(Self(u32::from(third) * FOURTH + u32::from(fourth) - 1))
    }
}

/// What became of the wish for addresses; the better before the worse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Allocation {
    /// These.
    Given(AutoAddress),
    /// Nobody has answered yet, or nobody will.
    Pending,
    /// All are taken.
    Exhausted,
    /// It could not be remembered, for this reason, so it is not used: after a restart another host might have it.
    Unsaved(Arc<str>),
}

impl Allocation {
    /// Why there is none, for people.
    pub(super) fn lack(&self) -> Option<String> {
        match self {
            Self::Given(_) => None,
            Self::Pending => Some("it has not been asked for yet".to_owned()),
            Self::Exhausted => Some(format!("all {} addresses of 240.240.0.0/16 are taken", AutoAddress::COUNT)),
            Self::Unsaved(why) => Some(format!("an address could not be remembered, so none is given: {why}")),
        }
    }

    /// One word for it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Given(_) => "Allocated",
            Self::Pending => "Pending",
            Self::Exhausted => "Exhausted",
            Self::Unsaved(_) => "NotRemembered",
        }
    }
}

/// Asks for addresses for those definitions of a host that want some, and notes what became of that.
pub(super) fn allocate(view: &View<'_>, row: &mut HostRow, emits: &mut Emits) {
    let host = row.host.clone();
    let mut wanting = row.definitions.iter_mut().filter(|definition| definition.allocation.is_some()).peekable();
    if wanting.peek().is_none() {
        return;
    }
    if settings(view).dns.auto_allocate == Some(false) {
        wanting.for_each(|definition| definition.allocation = None);
        return;
    }
    emits.fact(Relation::NeedsAddress(host.clone()), Fact::Unit);
    let answer = view.relation(Relation::Allocated(host.clone())).find_map(|fact| match fact {
        Fact::Allocation(allocation) => Some(allocation),
        _ => None,
    });
    let Some(answer) = answer else { return };
    for definition in wanting {
        definition.allocation = Some(answer.clone());
        if let (Some(why), Some(owner)) = (answer.lack(), definition.owners.first()) {
            let message = format!("{host} has no address that proxies could tell it by: {why}");
            let problem = Problem::warning(owner.reference(), FieldPath::from("spec.addresses"), "NoAddress", message);
            emits.problems.push(problem.fix("give it an address in spec.addresses"));
        }
    }
}

impl Definition {
    /// The addresses that it was given.
    pub(super) fn allocated(&self) -> Vec<IpAddr> {
        match &self.allocation {
            Some(Allocation::Given(address)) => address.both().into(),
            _ => Vec::new(),
        }
    }

    /// Its addresses in the spelling of [`Definition::addresses`]: its own, and those that it was given.
    pub(super) fn all_addresses(&self) -> impl Iterator<Item = Arc<str>> {
        let allocated = self.allocated().into_iter().map(|address| address.to_string().into());
        self.addresses.iter().cloned().chain(allocated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_position_has_addresses_of_its_own() {
        let mut seen = BTreeSet::new();
        let mut at = AutoAddress(0);
        for _ in 0..AutoAddress::COUNT {
            let [_, _, third, fourth] = at.v4().octets();
            assert!((1..=254).contains(&fourth), "{}", at.v4());
            assert_eq!(at.v6().to_string(), format!("2001:2::f0f0:{:x}", u16::from(third) << 8 | u16::from(fourth)));
            assert_eq!(AutoAddress::of_v4(at.v4()), Some(at));
            assert!(seen.insert(at.both()));
            at = at.next();
        }
        assert_eq!(at, AutoAddress(0));
    }

    #[test]
    fn addresses_that_are_never_given_are_nobodys() {
        for address in ["240.240.1.0", "240.240.1.255", "240.241.1.1", "10.0.0.1"] {
            assert_eq!(AutoAddress::of_v4(address.parse().unwrap()), None, "{address}");
        }
    }

    /// Whoever changes this gives every host of every mesh another address.
    #[test]
    fn a_hosts_address_is_the_same_for_ever() {
        let host = Host::parse("db.example.com").unwrap();
        assert_eq!(AutoAddress::preferred(&host).v4().to_string(), "240.240.246.100");
    }
}
