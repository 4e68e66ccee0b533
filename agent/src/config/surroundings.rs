//! What the agent finds around it: environment, file, host. Reading it is the only part of configuration that touches the system.

use super::{Config, ConfigError, Flags};
use crate::files;
use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

/// Where Istio's bundle for machines has its file.
const ISTIOS_FILE: &str = "/etc/istio/config/mesh";
const LONGEST_FILE: u64 = 1 << 20;

/// What the agent finds around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The environment. Empty values are as good as none.
    pub environment: BTreeMap<String, String>,
    /// The file's name and content.
    pub file: Option<(String, Vec<u8>)>,
    /// The host's name.
    pub host: String,
    /// The host's addresses.
    pub addresses: Vec<IpAddr>,
    /// Files that are there, of those that have more than one usual place.
    pub present: Vec<PathBuf>,
}

/// The usual places of the mesh's roots: in pods, and on machines.
pub(super) const ROOTS: [&str; 2] = ["/var/run/secrets/istio/root-cert.pem", "/etc/certs/root-cert.pem"];

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// [`ConfigError::File`] where a file was named that cannot be read.
    pub fn here(flags: &Flags) -> Result<Self, ConfigError> {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<_, _> = env::vars_os().filter_map(text).collect();
        let named = flags.config.clone().or_else(|| environment.get("MESH_CONFIG").map(PathBuf::from));
        Ok(Self {
            file: read(named.as_deref())?,
            environment,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            addresses: addresses(),
            present: ROOTS.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
        })
    }
}

impl Config {
    /// What this process is told. The second value is what deserves a warning.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(flags: &Flags) -> Result<(Self, Vec<String>), ConfigError> {
        Self::resolve(flags, &Surroundings::here(flags)?)
    }
}

/// A file that was named has to be there; Istio's need not.
fn read(named: Option<&Path>) -> Result<Option<(String, Vec<u8>)>, ConfigError> {
    let path = named.unwrap_or(Path::new(ISTIOS_FILE));
    let name = path.display().to_string();
    let error = |reason: String| ConfigError::File { name: name.clone(), reason };
    match files::read(path, LONGEST_FILE).map_err(|source| error(source.to_string()))? {
        None if named.is_some() => Err(error("there is no such file".to_owned())),
        content => Ok(content.map(|content| (name, content))),
    }
}

/// The addresses that packets to elsewhere would come from. None is sent: connecting a UDP socket only asks the routing table, and
/// the addresses asked for are for documentation (RFC 5737, RFC 3849).
fn addresses() -> Vec<IpAddr> {
    let ask = |from: IpAddr, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let four = ask(Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9");
    let six = ask(Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9");
    let found: Vec<_> = four.into_iter().chain(six).filter(|address| !address.is_unspecified()).collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}
