//! By what names the server is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tombolo_ca::ServerNames;

/// The tag `default`'s Service, this revision's own, and Istio's, whose agents look for it; each in full too. Besides these
/// `others`, and this machine, where it is reached from nowhere else.
pub(super) fn of(namespace: &str, revision: &str, others: Vec<String>, listening: IpAddr) -> ServerNames {
    let services = ["tombolo-discovery".to_owned(), format!("tombolo-discovery-{revision}"), "istiod".to_owned()];
    let names = services.into_iter().flat_map(|service| {
        let short = format!("{service}.{namespace}.svc");
        [format!("{short}.cluster.local"), short]
    });
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let local = listening.is_loopback();
    let mut dns: Vec<String> = names.chain(others).chain(local.then(|| "localhost".to_owned())).collect();
    dns.sort();
    dns.dedup();
    ServerNames { dns, ips: if local { loopback.to_vec() } else { Vec::new() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_tag_its_revision_and_istios_name() {
        let names = of("tombolo-system", "blue", vec!["mesh.example.com".into()], Ipv4Addr::UNSPECIFIED.into());
        for name in ["tombolo-discovery", "tombolo-discovery-blue", "istiod"] {
            for suffix in ["", ".cluster.local"] {
                assert!(names.dns.contains(&format!("{name}.tombolo-system.svc{suffix}")), "{name}{suffix}");
            }
        }
        assert!(names.dns.contains(&"mesh.example.com".to_owned()));
        assert_eq!(names.dns.len(), 7);
        assert!(names.ips.is_empty());
        assert_eq!(of("a", "b", vec![], Ipv4Addr::LOCALHOST.into()).ips.len(), 2);
    }
}
