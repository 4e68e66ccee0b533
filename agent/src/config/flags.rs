//! The command line of `tombolo-agent run`.

use super::{Address, parse_duration};
use crate::envoy::Kind;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tombolo_core::{InstanceId, TrustDomain};

/// What may be said on the command line. It counts more than the environment, that more than the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// A file of settings with Istio's names: a mesh.yaml with defaultConfig, or a ProxyConfig [env: MESH_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What must outlive a restart is kept here, for its owner alone [env: STATE_DIRECTORY; default: /var/lib/tombolo]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the control plane is; several are tried in turn [file: discoveryAddress]
    #[arg(long, value_name = "HOST:PORT")]
    pub discovery: Vec<Address>,
    /// The name that the control plane has to prove; by default the host of its address [env: ISTIOD_SAN]
    #[arg(long, value_name = "NAME")]
    pub discovery_name: Option<String>,
    /// Where certificates are issued; by default where the control plane is [env: CA_ADDR]
    #[arg(long, value_name = "HOST:PORT")]
    pub ca: Option<Address>,
    /// The mesh's root certificates in PEM [env: XDS_ROOT_CA, CA_ROOT_CA; default: /etc/certs/root-cert.pem]
    #[arg(long, value_name = "FILE")]
    pub root_cert: Option<PathBuf>,
    /// The token that proves who this is, until there is a certificate [env: JWT_PATH; default: /var/run/secrets/tokens/istio-token]
    #[arg(long, value_name = "FILE")]
    pub token: Option<PathBuf>,
    /// The mesh's trust domain [env: TRUST_DOMAIN; default: cluster.local]
    #[arg(long, value_name = "NAME", value_parser = trust_domain)]
    pub trust_domain: Option<TrustDomain>,
    /// The workload's namespace [env: POD_NAMESPACE, ISTIO_NAMESPACE; default: default]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The ServiceAccount that the workload runs as [env: SERVICE_ACCOUNT; default: default]
    #[arg(long, value_name = "NAME")]
    pub service_account: Option<String>,
    /// This instance's name [env: POD_NAME; default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Which instance of its workload this is, in its certificates [env: INSTANCE_ID; default: made once, and kept]
    #[arg(long, value_name = "ID", value_parser = instance_id)]
    pub instance_id: Option<InstanceId>,
    /// The workload's address, the one that it is known by first [env: INSTANCE_IP, ISTIO_SVC_IP; default: the host's]
    #[arg(long, value_name = "IP")]
    pub address: Vec<IpAddr>,
    /// What the proxy is for [env: PROXY_TYPE; default: sidecar]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// One of the workload's labels; added to those of ISTIO_METAJSON_LABELS
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The Envoy program [env: ENVOY_BIN; file: binaryPath; default: envoy, on PATH]
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// How many threads of Envoy serve; one a core by default [file: concurrency]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// How much Envoy logs [env: ENVOY_LOG_LEVEL; default: warning]
    #[arg(long, value_name = "LEVEL")]
    pub envoy_log_level: Option<String>,
    /// Envoy logs to envoy.log in the state directory, rather than to where the agent does
    #[arg(long)]
    pub envoy_log_file: bool,
    /// Answer DNS [env: ISTIO_META_DNS_CAPTURE; default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub dns: Option<bool>,
    /// Where to answer DNS, UDP and TCP [env: DNS_PROXY_ADDR; default: 127.0.0.1:15053]
    #[arg(long, value_name = "ADDR")]
    pub dns_address: Option<SocketAddr>,
    /// Names the servers for names that are not the mesh's [env: RESOLV_CONF; default: /etc/resolv.conf]
    #[arg(long, value_name = "FILE")]
    pub resolv_conf: Option<PathBuf>,
    /// Ask for names as one table, which Istio's control planes have, rather than one by one [env: WHOLE_NAME_TABLE; default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub whole_name_table: Option<bool>,
    /// Where readiness and metrics are served, to anybody who reaches it [file: statusPort; default: 127.0.0.1:15020]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// How long Envoy may take to finish its requests at the end [file: terminationDrainDuration; default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub drain: Option<Duration>,
    /// How long Envoy goes on taking connections at the end, even when it has none [env: MINIMUM_DRAIN_DURATION; default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub drain_minimum: Option<Duration>,
    /// How long certificates are asked to be valid [env: SECRET_TTL; default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub secret_ttl: Option<Duration>,
}

fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())
}

fn instance_id(text: &str) -> Result<InstanceId, String> {
    InstanceId::parse(text).map_err(|error| error.to_string())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
