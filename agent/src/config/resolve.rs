//! Which of flag, variable, field and default counts. Pure: the surroundings are given.

use super::{
    Address, Config, ConfigError, DnsConfig, EnvoyConfig, Flags, Identity, NodeConfig, Surroundings,
    duration::parse_duration, file::ProxyConfig, metadata::metadata, surroundings::ROOTS,
};
use crate::envoy::{DrainSettings, Kind};
use clap::ValueEnum;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};
use tombolo_core::{InstanceId, SpiffeId, TrustDomain};

const STATUS_PORT: u16 = 15020;
const LOG_LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "critical", "off"];

/// Variables and the file's fields.
struct Told {
    environment: BTreeMap<String, String>,
    /// Those of the environment, and of the file where the environment does not have them.
    variables: BTreeMap<String, String>,
    file: ProxyConfig,
}

impl Config {
    /// What flags and surroundings come to. The second value is what deserves a warning.
    ///
    /// # Errors
    /// [`ConfigError`], which names the field and what would be possible.
    pub fn resolve(flags: &Flags, surroundings: &Surroundings) -> Result<(Self, Vec<String>), ConfigError> {
        let (told, warnings) = Told::read(surroundings)?;
        let path = |flag: &Option<PathBuf>, names: &[&str], default: &str| {
            let told = flag.clone().or_else(|| told.text(names).map(PathBuf::from));
            told.unwrap_or_else(|| default.into())
        };
        let ca = told.pick(flags.ca.clone(), &["CA_ADDR"], Address::from_str)?;
        let roots = ROOTS.iter().find(|root| surroundings.present.contains(&PathBuf::from(root))).unwrap_or(&ROOTS[1]);
        let config = Self {
            state_dir: path(&flags.state_dir, &["STATE_DIRECTORY"], "/var/lib/tombolo"),
            discovery: told.discovery(flags, ca.as_ref())?,
            discovery_name: flags.discovery_name.clone().or_else(|| told.text(&["ISTIOD_SAN"]).map(str::to_owned)),
            ca,
            root_cert: path(&flags.root_cert, &["XDS_ROOT_CA", "CA_ROOT_CA"], roots),
            token: path(&flags.token, &["JWT_PATH"], "/var/run/secrets/tokens/istio-token"),
            identity: told.identity(flags)?,
            provided_certs: told.text(&["PROV_CERT"]).map(PathBuf::from),
            output_certs: told.text(&["OUTPUT_CERTS"]).map(PathBuf::from),
            secret_ttl: told.lifetime(flags)?,
            node: told.node(flags, surroundings)?,
            envoy: told.envoy(flags)?,
            dns: told.dns(flags)?,
            admin: told.admin(flags)?,
            probe: told.file.readiness_probe.clone(),
        };
        Ok((config.with_dns_told(), warnings))
    }

    /// The control plane sends names to those who say that they answer DNS.
    fn with_dns_told(mut self) -> Self {
        self.node.metadata.insert("DNS_CAPTURE".into(), Value::from(self.dns.enabled.to_string()));
        self
    }
}

impl Told {
    fn read(surroundings: &Surroundings) -> Result<(Self, Vec<String>), ConfigError> {
        let mut unknown = vec![];
        let inline = surroundings.environment.get("PROXY_CONFIG").map(|text| ("PROXY_CONFIG", text.as_bytes()));
        let file = surroundings.file.as_ref().map(|(name, content)| (&**name, &**content));
        let (mut merged, mut warnings) = (ProxyConfig::default(), vec![]);
        for (name, content) in inline.into_iter().chain(file) {
            merged = merged.or(ProxyConfig::parse(name, content, &mut unknown)?);
            let warning = |field: String| format!("{field} of {name} is not supported here and has no effect");
            warnings.extend(unknown.drain(..).map(warning));
        }
        let mut variables = BTreeMap::new();
        for (name, value) in &merged.proxy_metadata {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => return Err(wrong(&format!("proxyMetadata.{name}"), "not a text: put quotes around it")),
            };
            variables.insert(name.clone(), text);
        }
        let mut environment = surroundings.environment.clone();
        environment.retain(|_, value| !value.is_empty());
        variables.extend(environment.clone());
        variables.retain(|_, value| !value.is_empty());
        Ok((Self { environment, variables, file: merged }, warnings))
    }

    /// The first of these variables that is set: in the environment, or else in the file.
    fn variable(&self, names: &[&str]) -> Option<(String, &str)> {
        let first = |variables: &'_ BTreeMap<String, String>| names.iter().find(|name| variables.contains_key(**name));
        let name = first(&self.environment).or_else(|| first(&self.variables))?;
        Some(((*name).to_owned(), self.variables.get(*name)?))
    }

    fn text(&self, names: &[&str]) -> Option<&str> {
        self.variable(names).map(|(_, value)| value)
    }

    /// The flag, or else the first of these variables that is set.
    fn pick<T, E: ToString>(
        &self,
        flag: Option<T>,
        names: &[&str],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        match (flag, self.variable(names)) {
            (None, Some((name, value))) => parse(value).map(Some).map_err(|error| wrong(&name, error.to_string())),
            (flag, _) => Ok(flag),
        }
    }

    fn discovery(&self, flags: &Flags, ca: Option<&Address>) -> Result<Vec<Address>, ConfigError> {
        if !flags.discovery.is_empty() {
            return Ok(flags.discovery.clone());
        }
        let listed = self.file.discovery_address.iter().flat_map(|list| list.split(',')).map(str::trim);
        let listed: Result<Vec<Address>, _> = listed.filter(|one| !one.is_empty()).map(str::parse).collect();
        match listed.map_err(|error| wrong("discoveryAddress", error))? {
            listed if !listed.is_empty() => Ok(listed),
            // Istio's bundle for a machine names a revision's control plane there alone.
            _ => ca.map(|ca| vec![ca.clone()]).ok_or(ConfigError::NoDiscovery),
        }
    }

    fn identity(&self, flags: &Flags) -> Result<Identity, ConfigError> {
        let domain = |text: &str| TrustDomain::parse(text);
        let domain = self.pick(flags.trust_domain.clone(), &["TRUST_DOMAIN"], domain)?.unwrap_or_default();
        let name = |flag: &Option<String>, names: &[&str]| {
            flag.clone().or_else(|| self.text(names).map(str::to_owned)).unwrap_or_else(|| "default".to_owned())
        };
        let namespace = name(&flags.namespace, &["POD_NAMESPACE", "ISTIO_NAMESPACE"]);
        let account = name(&flags.service_account, &["SERVICE_ACCOUNT"]);
        for (field, value) in [("namespace", &namespace), ("service account", &account)] {
            if !is_name(value) {
                return Err(wrong(field, format!("{value:?} is not a name: {NAMES}")));
            }
        }
        let spiffe = format!("spiffe://{domain}/ns/{namespace}/sa/{account}");
        Ok(Identity {
            spiffe: SpiffeId::from_str(&spiffe).map_err(|error| wrong("identity", error.to_string()))?,
            instance: self.pick(flags.instance_id.clone(), &["INSTANCE_ID"], InstanceId::parse)?,
        })
    }

    fn lifetime(&self, flags: &Flags) -> Result<Duration, ConfigError> {
        let lifetime = self.pick(flags.secret_ttl, &["SECRET_TTL"], parse_duration)?;
        match lifetime.unwrap_or(Duration::from_secs(86_400)) {
            short if short < Duration::from_secs(1) => {
                Err(wrong("SECRET_TTL (--secret-ttl)", "less than a second: certificates are counted in seconds"))
            }
            lifetime => Ok(lifetime),
        }
    }

    fn node(&self, flags: &Flags, surroundings: &Surroundings) -> Result<NodeConfig, ConfigError> {
        let (mut labels, mut metadata) = metadata(&self.variables)?;
        labels.extend(flags.labels.iter().cloned());
        if let Some(mesh) = &self.file.mesh_id {
            metadata.entry("MESH_ID").or_insert(mesh.clone().into());
        }
        let name = flags.name.as_deref().or_else(|| self.text(&["POD_NAME"])).unwrap_or(&surroundings.host);
        if !is_name(name) {
            return Err(wrong("POD_NAME (--name)", format!("{name:?} is not a name: {NAMES}")));
        }
        let kind =
            |text: &str| Kind::from_str(text, true).map_err(|_| format!("{text:?} is neither sidecar nor router"));
        let cluster = self.file.service_cluster.as_deref().or_else(|| self.text(&["ISTIO_SERVICE"]));
        Ok(NodeConfig {
            kind: self.pick(flags.kind, &["PROXY_TYPE"], kind)?.unwrap_or_default(),
            name: name.to_owned(),
            addresses: self.addresses(flags, surroundings)?,
            service_cluster: cluster.map(str::to_owned),
            domain: self.text(&["DOMAIN_SUFFIX"]).unwrap_or("cluster.local").to_owned(),
            labels,
            metadata,
        })
    }

    fn addresses(&self, flags: &Flags, surroundings: &Surroundings) -> Result<Vec<IpAddr>, ConfigError> {
        let named = Some(flags.address.clone()).filter(|addresses| !addresses.is_empty());
        let list = |text: &str| -> Result<Vec<IpAddr>, String> {
            let address = |one: &str| one.trim().parse().map_err(|_| format!("{one:?} is not an IP address"));
            text.split(',').map(address).collect()
        };
        let told = self.pick(named, &["INSTANCE_IP", "ISTIO_SVC_IP"], list)?;
        let found = || Some(surroundings.addresses.clone()).filter(|addresses| !addresses.is_empty());
        Ok(told.or_else(found).unwrap_or_else(|| vec![Ipv4Addr::LOCALHOST.into()]))
    }

    fn envoy(&self, flags: &Flags) -> Result<EnvoyConfig, ConfigError> {
        let default = DrainSettings::default();
        let seconds = |text: &str| text.parse().map(Duration::from_secs).or_else(|_| parse_duration(text));
        let deadline = self.pick(flags.drain, &["TERMINATION_DRAIN_DURATION_SECONDS"], seconds)?;
        let minimum = self.pick(flags.drain_minimum, &["MINIMUM_DRAIN_DURATION"], parse_duration)?;
        let drain = DrainSettings {
            deadline: deadline.or(self.file.termination_drain_duration).unwrap_or(default.deadline),
            minimum: minimum.unwrap_or(default.minimum),
            listeners: self.file.drain_duration.unwrap_or(default.listeners),
        };
        if drain.minimum > drain.deadline {
            let reason = format!("{:?} is longer than all of the drain, {:?}", drain.minimum, drain.deadline);
            return Err(wrong("MINIMUM_DRAIN_DURATION (--drain-minimum)", reason));
        }
        let level = flags.envoy_log_level.as_deref().or_else(|| self.text(&["ENVOY_LOG_LEVEL"])).unwrap_or("warning");
        if !LOG_LEVELS.contains(&level) {
            let reason = format!("{level:?} is none of {}", LOG_LEVELS.join(", "));
            return Err(wrong("ENVOY_LOG_LEVEL (--envoy-log-level)", reason));
        }
        let program = flags.envoy.clone().or_else(|| self.text(&["ENVOY_BIN"]).map(PathBuf::from));
        Ok(EnvoyConfig {
            program: program.or_else(|| self.file.binary_path.clone()).unwrap_or_else(|| "envoy".into()),
            // Istio's 0 is one a core, too.
            concurrency: flags.concurrency.or(self.file.concurrency).filter(|threads| *threads > 0),
            log_level: level.to_owned(),
            log_file: flags.envoy_log_file,
            drain,
        })
    }

    fn dns(&self, flags: &Flags) -> Result<DnsConfig, ConfigError> {
        let switch = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        };
        let address = |text: &str| {
            let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
            numeric.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT"))
        };
        let resolv_conf = flags.resolv_conf.clone().or_else(|| self.text(&["RESOLV_CONF"]).map(PathBuf::from));
        Ok(DnsConfig {
            enabled: self.pick(flags.dns, &["ISTIO_META_DNS_CAPTURE"], switch)?.unwrap_or(false),
            address: self
                .pick(flags.dns_address, &["DNS_PROXY_ADDR"], address)?
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 15053))),
            resolv_conf: resolv_conf.unwrap_or_else(|| "/etc/resolv.conf".into()),
            whole_table: self.pick(flags.whole_name_table, &["WHOLE_NAME_TABLE"], switch)?.unwrap_or(false),
        })
    }

    fn admin(&self, flags: &Flags) -> Result<SocketAddr, ConfigError> {
        let port = self.file.status_port.unwrap_or(STATUS_PORT);
        if port == 0 {
            return Err(wrong("statusPort", "0 is no port: probes and scrapers have to know it"));
        }
        Ok(flags.admin.unwrap_or(SocketAddr::from(([127, 0, 0, 1], port))))
    }
}

impl ProxyConfig {
    /// This, and what only the other says.
    fn or(self, other: Self) -> Self {
        let mut variables = other.proxy_metadata;
        variables.extend(self.proxy_metadata);
        Self {
            discovery_address: self.discovery_address.or(other.discovery_address),
            service_cluster: self.service_cluster.or(other.service_cluster),
            binary_path: self.binary_path.or(other.binary_path),
            concurrency: self.concurrency.or(other.concurrency),
            status_port: self.status_port.or(other.status_port),
            drain_duration: self.drain_duration.or(other.drain_duration),
            termination_drain_duration: self.termination_drain_duration.or(other.termination_drain_duration),
            mesh_id: self.mesh_id.or(other.mesh_id),
            readiness_probe: self.readiness_probe.or(other.readiness_probe),
            proxy_metadata: variables,
        }
    }
}

const NAMES: &str = "use letters, digits, hyphens and dots, at most 253";

/// What may stand in a node id: no `~`, which divides it, and nothing that a certificate could not prove.
fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(allowed)
}

fn wrong(field: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { field: field.to_owned(), reason: reason.into() }
}
