//! ServiceEntry: a service that Kubernetes does not know.

mod validate;

use super::{Hosts, WorkloadEntry};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::Port;

/// `ServiceEntry`
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.workloadSelector) || !has(self.endpoints) || size(self.endpoints) == 0",
        "message": "only one of workloadSelector and endpoints can be set",
    },
    {
        "rule": "!has(self.addresses) || !self.addresses.exists(a, a.contains('/')) || !has(self.resolution) || self.resolution in ['NONE', 'STATIC']",
        "message": "CIDRs in addresses need resolution NONE or STATIC",
    },
    {
        "rule": "!has(self.endpoints) || size(self.endpoints) == 0 || (has(self.resolution) && self.resolution != 'NONE')",
        "message": "resolution NONE has no endpoints",
    },
    {
        "rule": "!has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || self.endpoints.size() <= 1",
        "message": "resolution DNS_ROUND_ROBIN has at most one endpoint",
    },
    {
        "rule": "!self.hosts.exists(h, h == '*') || (has(self.resolution) && self.resolution == 'DYNAMIC_DNS')",
        "message": "the host '*' needs resolution DYNAMIC_DNS",
    },
]))]
pub struct ServiceEntry {
    /// Its names: at least one.
    #[schemars(with = "Vec<String>", length(min = 1, max = 256), inner(length(min = 1, max = 255)))]
    pub hosts: Hosts,
    /// Virtual addresses: IPs, or CIDRs with resolutions NONE and STATIC.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub addresses: Vec<Arc<str>>,
    /// Its ports, of distinct names and numbers.
    #[serde(default)]
    #[schemars(length(max = 256), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-validations" = [{
            "rule": "self.all(a, self.exists_one(b, a.number == b.number))",
            "message": "the numbers of ports are distinct",
        }],
    ))]
    pub ports: Vec<ServiceEntryPort>,
    /// Whether it belongs to the mesh; MESH_EXTERNAL where absent.
    #[serde(default)]
    pub location: Location,
    /// How its endpoints are found; NONE where absent.
    #[serde(default)]
    pub resolution: Resolution,
    /// Its endpoints, inline.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub endpoints: Vec<WorkloadEntry>,
    /// Or by label, in its namespace. Not beside `endpoints`.
    pub workload_selector: Option<WorkloadSelector>,
    /// Who may see it: namespaces, `.` for its own, `*` for all (also where empty), `~` for none.
    #[serde(default)]
    #[schemars(inner(length(max = 63), regex(pattern = r"^([.*~]|[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)$")))]
    pub export_to: Vec<Arc<str>>,
    /// Identities that its endpoints may have besides their service accounts'.
    #[serde(default)]
    pub subject_alt_names: Vec<Arc<str>>,
}

/// `ServicePort`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntryPort {
    /// The port that clients use.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub number: Port,
    /// HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, MYSQL or REDIS, in either case; by `name` where empty.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub protocol: Arc<str>,
    /// Its name: letters, digits and inner hyphens.
    #[schemars(length(max = 63), regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub name: Arc<str>,
    /// The endpoints' port; the same number where absent.
    #[schemars(with = "Option<u16>", range(min = 1, max = 65535))]
    pub target_port: Option<Port>,
}

/// `ServiceEntry.Location`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // Istio's own words
pub enum Location {
    #[default]
    MeshExternal,
    MeshInternal,
}

/// `ServiceEntry.Resolution`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// The address that the client connected to.
    #[default]
    None,
    /// The endpoints' addresses.
    Static,
    /// All addresses that the endpoints' (or the hosts') names have.
    Dns,
    /// The first address that they have at each connection.
    DnsRoundRobin,
    /// The name that the request carries, looked up when it comes.
    DynamicDns,
}

/// `WorkloadSelector`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct WorkloadSelector {
    /// All of these. Empty selects every workload of the namespace.
    #[serde(default)]
    #[schemars(extend(
        "maxProperties" = 256,
        "additionalProperties" = {"type": "string", "maxLength": 63},
        "x-kubernetes-validations" = [{
            "rule": "self.all(k, size(k) > 0 && !k.contains('*') && !self[k].contains('*'))",
            "message": "a selector has no empty keys and no wildcards",
        }],
    ))]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}
