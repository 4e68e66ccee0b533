//! The settings of a mesh: what every control plane of it is made of.

use super::schema::{LABEL_VALUE, MOST_ALIASES};
use crate::UnsupportedMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// The settings of a mesh.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.trustDomainAliases) || !((has(self.trustDomain) ? self.trustDomain : 'cluster.local') in self.trustDomainAliases)",
    "message": "the trust domain is no alias of itself",
}]))]
pub struct MeshSettings {
    /// Of the identities issued; `cluster.local` where absent.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[a-z0-9._-]+$"))]
    pub trust_domain: Arc<str>,
    /// Trusted besides.
    #[schemars(
        length(max = MOST_ALIASES),
        inner(length(min = 1, max = 255), regex(pattern = r"^[a-z0-9._-]+$")),
        extend("x-kubernetes-list-type" = "set"),
    )]
    pub trust_domain_aliases: Vec<Arc<str>>,
    /// The mesh's name.
    #[schemars(length(max = 63), regex(pattern = LABEL_VALUE))]
    pub mesh_id: Arc<str>,
    /// The network that workloads are in if they name none.
    #[schemars(length(max = 63), regex(pattern = LABEL_VALUE))]
    pub network: Arc<str>,
    /// This cluster's name.
    #[schemars(length(max = 63), regex(pattern = LABEL_VALUE))]
    pub cluster: Arc<str>,
    /// How workloads prove to each other who they are.
    pub mtls: Mtls,
    /// What becomes of calls to hosts that the mesh does not know; `AllowAny` where absent.
    pub outbound_traffic: OutboundTraffic,
    /// Whether and how proxies log requests; not at all where absent.
    pub access_log: Option<AccessLog>,
    /// Names for proxies.
    pub dns: Dns,
    /// What holds for every gateway.
    pub gateways: GatewaySettings,
    /// How requests are traced: not supported yet.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub tracing: Option<UnsupportedMap>,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            mesh_id: "".into(),
            network: "".into(),
            cluster: "".into(),
            mtls: Mtls::default(),
            outbound_traffic: OutboundTraffic::default(),
            access_log: None,
            dns: Dns::default(),
            gateways: GatewaySettings::default(),
            tracing: None,
        }
    }
}

/// Mutual TLS between the proxies of the mesh. Calls to a workload with a proxy always use it; this says what is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mtls {
    /// What the proxies of workloads accept; `PERMISSIVE` where absent.
    pub mode: MtlsMode,
}

/// What the proxies of workloads accept, in Istio's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MtlsMode {
    /// The mesh's mutual TLS, and whatever else the workload would accept without a proxy.
    #[default]
    Permissive,
    /// The mesh's mutual TLS alone.
    Strict,
}

/// What becomes of calls to hosts that the mesh does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum OutboundTraffic {
    /// They go where they were going.
    #[default]
    AllowAny,
    /// They are refused: 502 for HTTP, a closed connection for TCP.
    RegistryOnly,
}

/// How proxies log requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLog {
    /// Envoy's file path; `/dev/stdout` where absent.
    #[schemars(regex(pattern = "^/"))]
    pub path: Option<Arc<str>>,
    /// Envoy's own text format where absent.
    pub format: Option<AccessLogFormat>,
}

/// A line's form, in Envoy's command operators.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AccessLogFormat {
    /// One text a line.
    Text(#[schemars(length(min = 1))] Arc<str>),
    /// One JSON object a line.
    Json(#[schemars(extend("minProperties" = 1))] BTreeMap<Arc<str>, Arc<str>>),
}

/// Names for proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Dns {
    /// Whether ServiceEntries without addresses are given some.
    pub auto_allocate: Option<bool>,
}

/// What holds for every gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewaySettings {
    /// How many proxies before the gateway are trusted to write X-Forwarded-For: the client's address is the one that the
    /// first of them saw. 0, where absent, trusts none: the client is whoever connected.
    #[schemars(range(max = 64))]
    pub num_trusted_proxies: u32,
    /// PROXY protocol from what stands before the gateway: not supported yet.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub proxy_protocol: Option<UnsupportedMap>,
    /// HTTP/3 beside HTTPS: not supported yet.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub http3: Option<UnsupportedMap>,
}
