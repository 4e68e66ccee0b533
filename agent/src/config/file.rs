//! The file, as Istio writes it for machines: `defaultConfig` of its mesh config, or what stands below that alone.

use super::{ConfigError, duration::parse_duration};
use crate::health::Probe;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};
use std::{path::PathBuf, time::Duration};

/// A file is a few kilobytes.
const LONGEST: usize = 1 << 20;
const DEEPEST: usize = 32;

/// `istio.mesh.v1alpha1.ProxyConfig`, as far as it means something here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProxyConfig {
    pub(crate) discovery_address: Option<String>,
    pub(crate) service_cluster: Option<String>,
    pub(crate) binary_path: Option<PathBuf>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) status_port: Option<u16>,
    #[serde(deserialize_with = "duration")]
    pub(crate) drain_duration: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(crate) termination_drain_duration: Option<Duration>,
    pub(crate) mesh_id: Option<String>,
    pub(crate) readiness_probe: Option<Probe>,
    /// Variables: as if they stood in the environment, but weaker.
    pub(crate) proxy_metadata: Map<String, Value>,
}

/// The mesh config around it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MeshConfig {
    #[serde(default)]
    default_config: ProxyConfig,
    trust_domain: Option<String>,
}

fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(d)?;
    text.map(|text| parse_duration(&text)).transpose().map_err(D::Error::custom)
}

impl ProxyConfig {
    /// Reads YAML, which JSON is too. `name` is how errors call it. Names of fields that mean nothing here go to `unknown`.
    ///
    /// # Errors
    /// [`ConfigError`] where it is not YAML, or a value is impossible.
    pub(crate) fn parse(name: &str, text: &[u8], unknown: &mut Vec<String>) -> Result<Self, ConfigError> {
        let not_yaml = |reason: String| ConfigError::Yaml { name: name.to_owned(), reason };
        if text.len() > LONGEST {
            return Err(not_yaml(format!("it is longer than {LONGEST} bytes")));
        }
        let text = str::from_utf8(text).map_err(|error| not_yaml(error.to_string()))?;
        let value = serde_saphyr::from_str_with_options::<Value>(text, limits(text.len()));
        let value = value.map_err(|error| not_yaml(error.without_snippet().to_string()))?;
        match value {
            Value::Null => Ok(Self::default()),
            Value::Object(fields) if fields.contains_key("defaultConfig") => {
                let mesh: MeshConfig = read(name, Value::Object(fields), unknown)?;
                let mut config = mesh.default_config;
                if let Some(domain) = mesh.trust_domain {
                    config.proxy_metadata.entry("TRUST_DOMAIN").or_insert(domain.into());
                }
                Ok(config)
            }
            Value::Object(fields) => read(name, Value::Object(fields), unknown),
            _ => Err(not_yaml("it is not a mapping of fields to values".to_owned())),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(name: &str, value: Value, unknown: &mut Vec<String>) -> Result<T, ConfigError> {
    let mut track = serde_path_to_error::Track::new();
    let fields = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(fields, |path| {
        unknown.push(path.to_string().replace(".?", "")); // how it shows that a value is optional
    });
    read.map_err(|error: serde_json::Error| ConfigError::Value {
        field: format!("{} of {name}", track.path()),
        reason: error.to_string(),
    })
}

/// What keeps reading linear in the text's length: what aliases repeat is no longer than the text itself.
fn limits(length: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_events: 100_000,
            max_nodes: 50_000,
            max_total_scalar_bytes: 2 * length + 4096,
            max_recorded_anchor_events: length + 4096,
            max_recorded_anchor_bytes: 2 * length + 4096,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: length + 4096 },
        emit_comments: false,
        with_snippet: false,
    }
}
