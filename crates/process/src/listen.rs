//! Where a process can listen.

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, socket},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where to listen for what is to be reached at every address of the host (`[::]`): on a host whose kernel has no IPv6
/// (`ipv6.disable=1`) that is `0.0.0.0`, as there is no such socket. Any other address is returned as it is.
pub fn listenable(address: SocketAddr) -> SocketAddr {
    listenable_with(address, has_ipv6)
}

fn listenable_with(address: SocketAddr, has_ipv6: impl FnOnce() -> bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() && !has_ipv6() => (Ipv4Addr::UNSPECIFIED, address.port()).into(),
        _ => address,
    }
}

/// Any other failure is for whoever binds to meet, and to tell.
fn has_ipv6() -> bool {
    !matches!(socket(AddressFamily::INET6, SocketType::STREAM, None), Err(Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_every_ipv4_address_where_there_is_no_other() {
        for (asked, with, without) in [
            ("[::]:8080", "[::]:8080", "0.0.0.0:8080"),
            ("[::1]:8080", "[::1]:8080", "[::1]:8080"),
            ("0.0.0.0:8080", "0.0.0.0:8080", "0.0.0.0:8080"),
        ] {
            let on = |has_ipv6| listenable_with(asked.parse().unwrap(), || has_ipv6).to_string();
            assert_eq!((&*on(true), &*on(false)), (with, without));
        }
    }

    #[test]
    fn what_is_listenable_can_be_listened_at() {
        let every = listenable("[::]:0".parse().unwrap());
        std::net::TcpListener::bind(every).unwrap();
    }
}
