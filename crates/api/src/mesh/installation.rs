//! MeshInstallation: one mesh, its control planes and its settings.

use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// `MeshInstallationSpec`, as far as a control plane reads it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshInstallation {
    /// What every revision of the mesh is made of.
    pub mesh: MeshSettings,
}

/// The settings of a mesh.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshSettings {
    /// Of the identities issued; `cluster.local` where absent.
    pub trust_domain: Arc<str>,
    /// Trusted besides.
    pub trust_domain_aliases: Vec<Arc<str>>,
    /// The mesh's name.
    pub mesh_id: Arc<str>,
    /// The network that workloads are in if they name none.
    pub network: Arc<str>,
    /// This cluster's name.
    pub cluster: Arc<str>,
    /// What becomes of calls to hosts that the mesh does not know.
    pub outbound_traffic: OutboundTraffic,
    /// Whether and how proxies log requests; not at all where absent.
    pub access_log: Option<AccessLog>,
    /// Names for proxies.
    pub dns: Dns,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            mesh_id: "".into(),
            network: "".into(),
            cluster: "".into(),
            outbound_traffic: OutboundTraffic::default(),
            access_log: None,
            dns: Dns::default(),
        }
    }
}

/// What becomes of calls to hosts that the mesh does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum OutboundTraffic {
    /// They go where they were going.
    #[default]
    AllowAny,
    /// They are refused: 502 for HTTP, a closed connection for TCP.
    RegistryOnly,
}

/// How proxies log requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLog {
    /// Envoy's file path; `/dev/stdout` where absent.
    pub path: Option<Arc<str>>,
    /// Envoy's own text format where absent.
    pub format: Option<AccessLogFormat>,
}

/// A line's form, in Envoy's command operators.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessLogFormat {
    /// One text a line.
    Text(Arc<str>),
    /// One JSON object a line.
    Json(BTreeMap<Arc<str>, Arc<str>>),
}

/// Names for proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dns {
    /// Whether ServiceEntries without addresses are given some.
    pub auto_allocate: Option<bool>,
}

impl Spec for MeshInstallation {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
