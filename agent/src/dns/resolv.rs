//! The name servers that the machine had: resolv.conf, as it was before the agent took over.

use resolv_conf::ScopedIp;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

const DNS_PORT: u16 = 53;
/// Servers that are asked; the rest is passed over. The C library asks three.
const MOST_SERVERS: usize = 8;
/// Longer files are not resolv.conf.
const MOST_BYTES: u64 = 1 << 20;

/// Who is asked for names that are not of the mesh, and how patiently. See resolv.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolv {
    /// Where it was read from. That file is read again while names are looked up, as it changes with the network.
    pub file: Option<PathBuf>,
    /// The servers, in order of preference.
    pub servers: Vec<SocketAddr>,
    /// The domains that the machine's resolver appends to names.
    pub search: Vec<String>,
    /// How long a question may take in all, whichever servers it is put to; its asker has given up by then. 1 to 30 s, default 5 s.
    pub timeout: Duration,
    /// How often a question is put to each server. 1 to 5, default 2.
    pub attempts: usize,
    /// Whether to begin with another server each time.
    pub rotate: bool,
}

/// Why there are no name servers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the name servers of this machine cannot be read from {path}: {source}; name another file, or make it readable to the agent"
)]
pub struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

impl Resolv {
    /// Reads a file. What is wrong in it is passed over with a warning, as the C library does in silence.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than 1 MiB.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        Ok(Self { file: Some(path.to_owned()), ..Self::parse(&Self::text(path)?) })
    }

    /// What a file holds, up to 1 MiB.
    pub(crate) fn text(path: &Path) -> Result<Vec<u8>, Unreadable> {
        let unreadable = |source| Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let read = io::Read::read_to_end(&mut io::Read::take(file, MOST_BYTES + 1), &mut bytes).map_err(unreadable)?;
        if read as u64 > MOST_BYTES {
            return Err(unreadable(io::Error::other("it is larger than 1 MiB")));
        }
        Ok(bytes)
    }

    /// Parses the text of a file. Without a server in it, the one on this machine is meant.
    pub fn parse(text: &[u8]) -> Self {
        let mut resolv = Self::named(text);
        if resolv.servers.is_empty() {
            resolv.servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        resolv
    }

    /// Parses the text of a file, and takes no server for granted.
    pub(crate) fn named(text: &[u8]) -> Self {
        let (parsed, errors) = resolv_conf::Config::parse_with_errors(text);
        for error in errors.iter().take(8) {
            tracing::warn!("resolv.conf: {error}");
        }
        // `ndots` is for those who append search domains, and that is done before a question gets here.
        let mut servers: Vec<_> = parsed.nameservers.iter().filter_map(address).collect();
        servers.truncate(MOST_SERVERS);
        Self {
            file: None,
            servers,
            search: parsed.get_last_search_or_domain().filter(|domain| *domain != ".").map(String::from).collect(),
            timeout: Duration::from_secs(u64::from(parsed.timeout.clamp(1, 30))),
            attempts: parsed.attempts.clamp(1, 5) as usize,
            rotate: parsed.rotate,
        }
    }

    /// Leaves out the address that the agent itself answers at: it would ask itself, and that ask itself.
    #[must_use]
    pub(crate) fn without(mut self, own: SocketAddr) -> Self {
        self.servers.retain(|server| {
            let same = server.port() == own.port() && (server.ip() == own.ip() || is_here(server.ip(), own.ip()));
            if same {
                tracing::warn!("the name server {server} of resolv.conf is this agent, and is not asked");
            }
            !same
        });
        self
    }
}

/// Whoever listens on every address listens on the loopback ones; `0.0.0.0` as a destination is this machine too.
fn is_here(server: IpAddr, own: IpAddr) -> bool {
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    (own.is_unspecified() && local(server)) || (own.is_loopback() && server.is_unspecified())
}

fn address(ip: &ScopedIp) -> Option<SocketAddr> {
    match ip {
        ScopedIp::V4(ip) => Some((*ip, DNS_PORT).into()),
        ScopedIp::V6(ip, None) => Some((*ip, DNS_PORT).into()),
        ScopedIp::V6(ip, Some(zone)) => match scope_id(zone) {
            Ok(scope) => Some(SocketAddrV6::new(*ip, DNS_PORT, 0, scope).into()),
            Err(error) => {
                tracing::warn!("resolv.conf: {ip}%{zone} is passed over, there is no such interface: {error}");
                None
            }
        },
    }
}

/// An interface's number, which a zone is, or names (RFC 4007, section 11.2).
fn scope_id(zone: &str) -> io::Result<u32> {
    match zone.parse() {
        Ok(number) => Ok(number),
        Err(_) => Ok(rustix::net::netdevice::name_to_index(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, zone)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_search_domains_and_options_are_read() {
        let resolv = Resolv::parse(
            b"# made by hand\nnameserver 10.0.0.2\nnameserver 2001:db8::53\nnameserver fe80::1%1\nnameserver fe80::2%lo\n\
              domain old.example.com\nsearch shop.example.com example.com\noptions ndots:5 timeout:2 attempts:3 rotate edns0\n",
        );
        let servers: Vec<_> = resolv.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.2:53", "[2001:db8::53]:53", "[fe80::1%1]:53", "[fe80::2%1]:53"]);
        assert_eq!(resolv.search, ["shop.example.com", "example.com"]);
        assert_eq!((resolv.timeout, resolv.attempts, resolv.rotate), (Duration::from_secs(2), 3, true));
    }

    /// One bad line costs that line.
    #[test]
    fn what_is_wrong_is_passed_over() {
        let resolv = Resolv::parse(b"nameserver\nnameserver nonsense\nnameserver fe80::1%no-such-interface\n\xff\xfe\noptions timeout:x\nnameserver 10.0.0.2\n");
        assert_eq!(resolv.servers, ["10.0.0.2:53".parse().unwrap()]);
        assert_eq!(resolv.timeout, Duration::from_secs(5));
    }

    #[test]
    fn numbers_are_bounded() {
        let many: String = (0..100).map(|last| format!("nameserver 10.0.0.{last}\n")).collect();
        let resolv = Resolv::parse(format!("{many}options timeout:0 attempts:4000000000\n").as_bytes());
        assert_eq!((resolv.servers.len(), resolv.timeout, resolv.attempts), (8, Duration::from_secs(1), 5));
    }

    #[test]
    fn without_a_server_the_one_on_this_machine_is_meant() {
        assert_eq!(Resolv::parse(b"").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_agent_does_not_ask_itself() {
        let left = |own: &str| {
            let resolv = Resolv::parse(b"nameserver 127.0.0.1\nnameserver 127.0.0.53\nnameserver 10.0.0.2\n");
            resolv
                .without(own.parse().unwrap())
                .servers
                .iter()
                .map(|server| server.ip().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(left("127.0.0.1:53"), ["127.0.0.53", "10.0.0.2"], "its own address");
        assert_eq!(left("127.0.0.1:15053"), ["127.0.0.1", "127.0.0.53", "10.0.0.2"], "another port is another server");
        assert_eq!(left("0.0.0.0:53"), ["10.0.0.2"], "every loopback address is its own");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..Default::default()
        })]

        /// Whatever the file holds: no panic, and the bounds hold.
        #[test]
        fn any_file_is_survived(text in "((nameserver|search|domain|options|sortlist|#)?[ \\t]?[a-z0-9.:%/,;-]{0,20}\n?){0,20}") {
            let resolv = Resolv::parse(text.as_bytes());
            proptest::prop_assert!(resolv.servers.len() <= MOST_SERVERS && (1..=5).contains(&resolv.attempts));
        }
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let error = Resolv::read(Path::new("/nonexistent/resolv.conf")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/resolv.conf"), "{error}");
    }
}
