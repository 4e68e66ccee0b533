//! ServiceEntry: a service that Kubernetes does not know.

use super::WorkloadEntry;
use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::{Host, Port};

/// `ServiceEntry`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntry {
    /// Its names: at least one.
    pub hosts: Vec<Host>,
    /// Virtual addresses: IPs, or CIDRs with resolution NONE.
    #[serde(default)]
    pub addresses: Vec<Arc<str>>,
    /// Its ports, of distinct names and numbers.
    #[serde(default)]
    pub ports: Vec<ServiceEntryPort>,
    /// Whether it belongs to the mesh.
    #[serde(default)]
    pub location: Location,
    /// How its endpoints are found.
    #[serde(default)]
    pub resolution: Resolution,
    /// Its endpoints, inline.
    #[serde(default)]
    pub endpoints: Vec<WorkloadEntry>,
    /// Or by label, in its namespace. Not beside `endpoints`.
    pub workload_selector: Option<WorkloadSelector>,
    /// Who may see it: namespaces, `.` for its own, `*` for all (also where empty), `~` for none.
    #[serde(default)]
    pub export_to: Vec<Arc<str>>,
    /// Identities that its endpoints may have besides their service accounts'.
    #[serde(default)]
    pub subject_alt_names: Vec<Arc<str>>,
}

/// `ServicePort`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntryPort {
    /// The port that clients use.
    pub number: Port,
    /// HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS; by `name` where empty.
    #[serde(default)]
    pub protocol: Arc<str>,
    /// Its name.
    #[serde(default)]
    pub name: Arc<str>,
    /// The endpoints' port; the same number where absent.
    pub target_port: Option<Port>,
}

/// `ServiceEntry.Location`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // Istio's own words
pub enum Location {
    #[default]
    MeshExternal,
    MeshInternal,
}

/// `ServiceEntry.Resolution`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WorkloadSelector {
    /// All of these; at least one.
    #[serde(default)]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Spec for ServiceEntry {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
