//! References between objects.

use super::GROUP;
use serde::Deserialize;
use std::sync::Arc;
use tombolo_core::Port;

/// `ParentReference`: what a route wants to be attached to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Defaults to the Gateway API's.
    #[serde(default = "gateway_group")]
    pub group: Arc<str>,
    /// Defaults to `Gateway`.
    #[serde(default = "gateway_kind")]
    pub kind: Arc<str>,
    /// Defaults to the route's own.
    pub namespace: Option<Arc<str>>,
    /// The parent's name.
    pub name: Arc<str>,
    /// One listener of the parent; all where absent.
    pub section_name: Option<Arc<str>>,
    /// One port of the parent; all where absent.
    pub port: Option<Port>,
}

/// `BackendObjectReference` with a weight: a share of a rule's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct BackendRef {
    /// Empty for Kubernetes' core group; `networking.istio.io` for a `Hostname`.
    #[serde(default)]
    pub group: Arc<str>,
    /// Defaults to `Service`.
    #[serde(default = "service_kind")]
    pub kind: Arc<str>,
    /// The Service's name, or the host name of a `Hostname`.
    pub name: Arc<str>,
    /// Defaults to the route's own; another needs a ReferenceGrant.
    pub namespace: Option<Arc<str>>,
    /// Required for a Service.
    pub port: Option<Port>,
    /// Share of the rule's requests, relative to the sum of all; 0 for none. Ignored where no share is taken (mirrors).
    #[serde(default = "one")]
    pub weight: u32,
}

/// `SecretObjectReference`, `ObjectReference`: an object in this or another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct ObjectReference {
    /// Empty for Kubernetes' core group.
    #[serde(default)]
    pub group: Arc<str>,
    /// Defaults to `Secret`, which is all that listeners refer to.
    #[serde(default = "secret_kind")]
    pub kind: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// Defaults to the referrer's own; another needs a ReferenceGrant.
    pub namespace: Option<Arc<str>>,
}

/// `LocalParametersReference`: an object in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct LocalRef {
    /// Its group.
    pub group: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// `ParametersReference`: an object anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct ParametersRef {
    /// Its group.
    pub group: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Absent for cluster-scoped kinds.
    pub namespace: Option<Arc<str>>,
}

fn gateway_group() -> Arc<str> {
    GROUP.into()
}
fn gateway_kind() -> Arc<str> {
    "Gateway".into()
}
fn service_kind() -> Arc<str> {
    "Service".into()
}
fn secret_kind() -> Arc<str> {
    "Secret".into()
}
fn one() -> u32 {
    1
}
