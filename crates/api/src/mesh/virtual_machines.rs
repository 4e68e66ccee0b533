//! How machines outside Kubernetes join.

use super::Period;
use schemars::JsonSchema;
use serde::Deserialize;

/// How machines outside Kubernetes join, and when one counts as gone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachines {
    /// Whether the control plane can be reached from outside the cluster. Not supported yet, and without effect.
    pub expose: Option<bool>,
    /// How long a token to join with is valid. Not supported yet, and without effect.
    #[serde(rename = "tokenTTL")]
    pub token_ttl: Option<Period>,
    /// How long a machine may be disconnected before it is no longer an endpoint. Not supported yet, and without effect.
    pub disconnect_grace: Option<Period>,
    /// How long after its certificate expired a machine may come back by proof of its key; 7d where absent.
    pub rejoin_window: Period,
}

impl Default for VirtualMachines {
    fn default() -> Self {
        Self { expose: None, token_ttl: None, disconnect_grace: None, rejoin_window: Period::from_secs(7 * 86_400) }
    }
}
