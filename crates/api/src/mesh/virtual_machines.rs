//! How machines outside Kubernetes join.

use super::Period;
use schemars::JsonSchema;
use serde::Deserialize;

/// How machines outside Kubernetes join, and when one counts as gone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachines {
    /// Whether the control plane can be reached from outside the cluster; true where absent.
    pub expose: bool,
    /// How long a token to join with is valid; 1h where absent.
    #[serde(rename = "tokenTTL")]
    pub token_ttl: Period,
    /// How long a machine may be disconnected before it is no longer an endpoint; 10s where absent.
    pub disconnect_grace: Period,
    /// How long after its certificate expired a machine may come back by proof of its key; 7d where absent.
    pub rejoin_window: Period,
}

impl Default for VirtualMachines {
    fn default() -> Self {
        Self {
            expose: true,
            token_ttl: Period::from_secs(3600),
            disconnect_grace: Period::from_secs(10),
            rejoin_window: Period::from_secs(7 * 86_400),
        }
    }
}
