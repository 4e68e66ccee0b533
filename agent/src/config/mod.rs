//! What the agent is told: by flags, by the environment, and by a file, with Istio's names.
//!
//! A flag counts more than an environment variable, that more than the file, that more than the default. In the file, `proxyMetadata`
//! holds variables, which count as if they stood in the environment where that does not have them. `PROXY_CONFIG` in the environment
//! is a file's content, and counts more than the file. What is not understood is warned about by name; what is impossible is an error.

mod address;
mod duration;
mod file;
mod flags;
mod metadata;
mod resolve;
mod surroundings;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use duration::parse_duration;
pub use flags::Flags;
pub use surroundings::Surroundings;

use crate::{
    envoy::{DrainSettings, Kind, Node},
    health::Probe,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tombolo_core::{InstanceId, SpiffeId};

/// All that the agent is told. Secrets are not part of it: only the names of the files that hold them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// What must outlive a restart is kept here. `/var/lib/tombolo`.
    pub state_dir: PathBuf,
    /// Where the control plane is: addresses to try in turn, at least one.
    pub discovery: Vec<Address>,
    /// The name that the control plane has to prove; the host of the address where absent.
    pub discovery_name: Option<String>,
    /// Where certificates are issued; where the control plane is, where absent.
    pub ca: Option<Address>,
    /// The mesh's root certificates, in PEM.
    pub root_cert: PathBuf,
    /// The token that proves who this is; there need not be one once there is a certificate.
    pub token: PathBuf,
    /// Who this is.
    pub identity: Identity,
    /// Istio's file mode: the certificate is read from here (`cert-chain.pem`, `key.pem`, `root-cert.pem`) at first. `PROV_CERT`.
    pub provided_certs: Option<PathBuf>,
    /// Istio's file mode: certificates are written here too. `OUTPUT_CERTS`.
    pub output_certs: Option<PathBuf>,
    /// How long certificates are asked to be valid. 24 h.
    pub secret_ttl: Duration,
    /// How the proxy introduces itself.
    pub node: NodeConfig,
    /// How Envoy is run.
    pub envoy: EnvoyConfig,
    /// How DNS is answered.
    pub dns: DnsConfig,
    /// Where readiness and metrics are served. `127.0.0.1:15020`.
    pub admin: SocketAddr,
    /// How the workload is probed; not at all where absent.
    pub probe: Option<Probe>,
}

/// Who a workload is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Identity {
    /// `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`
    pub spiffe: SpiffeId,
    /// Which instance of the workload; where absent one is made once and kept.
    #[serde(serialize_with = "instance")]
    pub instance: Option<InstanceId>,
}

fn instance<S: serde::Serializer>(instance: &Option<InstanceId>, s: S) -> Result<S::Ok, S::Error> {
    instance.as_ref().map(InstanceId::as_str).serialize(s)
}

/// How a proxy introduces itself, besides its identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeConfig {
    /// What the proxy is for.
    pub kind: Kind,
    /// Its pod's or machine's name.
    pub name: String,
    /// Its addresses, the one that it is known by first; at least one.
    pub addresses: Vec<IpAddr>,
    /// What it may be known as in logs.
    pub service_cluster: Option<String>,
    /// The cluster's DNS domain. `cluster.local`.
    pub domain: String,
    /// The workload's labels.
    pub labels: BTreeMap<String, String>,
    /// What else the control plane is told.
    pub metadata: Map<String, Value>,
}

/// How Envoy is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnvoyConfig {
    /// The program: a path, or a name to look for on PATH.
    pub program: PathBuf,
    /// How many threads serve; one a core where absent.
    pub concurrency: Option<u32>,
    /// How much it logs.
    pub log_level: String,
    /// Whether it logs to a file in the state directory, rather than to where the agent does.
    pub log_file: bool,
    /// How it drains.
    pub drain: DrainSettings,
}

/// How DNS is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsConfig {
    /// Whether it is.
    pub enabled: bool,
    /// Where, UDP and TCP. `127.0.0.1:15053`.
    pub address: SocketAddr,
    /// Names the servers for names that are not the mesh's. `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// Whether names are asked for as one table, as Istio's control planes have them, rather than one by one.
    pub whole_table: bool,
}

/// Something that the agent was told makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that is no YAML.
    #[error("{name} cannot be read as YAML: {reason}")]
    Yaml {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// A value that is impossible.
    #[error("{field}: {reason}")]
    Value {
        /// Where it stands.
        field: String,
        /// Why, and what would be possible.
        reason: String,
    },
    /// A file that is not there.
    #[error("cannot read {name}: {reason}; name another one with --config")]
    File {
        /// Its name.
        name: String,
        /// What the system says.
        reason: String,
    },
    /// Nobody said where the control plane is.
    #[error(
        "it is not known where the control plane is: name it with --discovery HOST:PORT, or discoveryAddress in the file"
    )]
    NoDiscovery,
}

impl Config {
    /// How the proxy introduces itself.
    pub fn node(&self) -> Node {
        let NodeConfig { kind, name, addresses, service_cluster, domain, labels, metadata } = self.node.clone();
        Node {
            kind,
            name,
            namespace: self.identity.spiffe.namespace.to_string(),
            service_cluster,
            service_account: self.identity.spiffe.service_account.to_string(),
            domain,
            addresses,
            labels,
            metadata,
        }
    }

    /// Where certificates are issued: addresses to try in turn.
    pub fn ca(&self) -> Vec<Address> {
        self.ca.clone().map_or_else(|| self.discovery.clone(), |ca| vec![ca])
    }
}
