//! One host and its addresses in few bytes: there is a table beside every workload, and most hosts are never asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tombolo_core::Host;
use tombolo_proto::agent::NameInfo;

/// Addresses of one family that are kept of one host. More would not fit an answer, even over TCP.
const MOST_ADDRESSES: usize = 2000;
/// Flags, the name's length, the number of IPv4 addresses (two bytes).
const HEAD: usize = 4;
const KUBERNETES: u8 = 1;

/// Laid out as `flags | name length | IPv4 count | name | IPv4 addresses | IPv6 addresses`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// The bytes of a record. Addresses that are none are left out: the others still serve.
    pub(crate) fn encode(host: &Host, info: &NameInfo) -> Vec<u8> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for ip in &info.ips {
            match ip.parse() {
                Ok(IpAddr::V4(ip)) if v4.len() < MOST_ADDRESSES => v4.push(ip.octets()),
                Ok(IpAddr::V6(ip)) if v6.len() < MOST_ADDRESSES => v6.push(ip.octets()),
                Ok(_) => tracing::warn!(%host, "more than {MOST_ADDRESSES} addresses: {ip} is left out"),
                Err(_) => tracing::warn!(%host, "{ip:?} is not an address"),
            }
        }
        let name = host.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(HEAD + name.len() + v4.len() * 4 + v6.len() * 16);
        bytes.push(if is_kubernetes(host.as_str(), info) { KUBERNETES } else { 0 });
        // A host has at most 253 characters, and the count was bounded above.
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend(u16::try_from(v4.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(name);
        bytes.extend(v4.as_flattened());
        bytes.extend(v6.as_flattened());
        bytes
    }

    /// Of what [`encode`](Self::encode) gave.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The host in lower case, without a final dot.
    pub(crate) fn name(self) -> &'a [u8] {
        &self.0[HEAD..self.name_end()]
    }

    /// Whether the host is a Kubernetes Service's, or one of its instances', and so has shorter names too.
    pub(crate) fn is_kubernetes(self) -> bool {
        self.0[0] & KUBERNETES != 0
    }

    pub(crate) fn v4(self) -> &'a [[u8; 4]] {
        self.0[self.name_end()..self.v4_end()].as_chunks().0
    }

    pub(crate) fn v6(self) -> &'a [[u8; 16]] {
        self.0[self.v4_end()..].as_chunks().0
    }

    /// All addresses, IPv4 first.
    pub(crate) fn addresses(self) -> impl Iterator<Item = IpAddr> + 'a {
        let v4 = self.v4().iter().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)));
        v4.chain(self.v6().iter().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))))
    }

    fn name_end(self) -> usize {
        HEAD + usize::from(self.0[1])
    }

    fn v4_end(self) -> usize {
        self.name_end() + usize::from(u16::from_be_bytes([self.0[2], self.0[3]])) * 4
    }
}

/// Short names are made from the host at lookup, so the host must be what they are short for.
fn is_kubernetes(host: &str, info: &NameInfo) -> bool {
    let rest = host.strip_prefix(&*info.shortname).and_then(|rest| rest.strip_prefix('.'));
    let rest = rest.and_then(|rest| rest.strip_prefix(&*info.namespace));
    info.registry == "Kubernetes" && rest.is_some_and(|rest| rest.starts_with(".svc."))
}
