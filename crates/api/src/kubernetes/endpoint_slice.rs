//! EndpointSlice: some of a Service's endpoints.

mod validate;

use super::{Transport, unread::drop_unread};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::sync::Arc;
use tombolo_core::{Port, Uid};

/// An EndpointSlice, as far as it is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// What its addresses are.
    pub address_type: AddressType,
    /// Its endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Their ports, named as the Service's.
    #[serde(default)]
    pub ports: Vec<EndpointPort>,
}

/// `AddressType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[allow(missing_docs)] // Kubernetes' own words
pub enum AddressType {
    IPv4,
    IPv6,
    FQDN,
}

/// `Endpoint`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Endpoint {
    /// Interchangeable addresses: the first is used.
    pub addresses: Vec<Arc<str>>,
    /// Whether it serves.
    #[serde(default)]
    pub conditions: Conditions,
    /// Its own name below a headless Service's.
    pub hostname: Option<Arc<str>>,
    /// Where it runs.
    pub node_name: Option<Arc<str>>,
    /// Where it runs.
    pub zone: Option<Arc<str>>,
    /// Who should use it.
    #[serde(default)]
    pub hints: Hints,
    /// The pod that it is, if it is one.
    #[serde(default, rename = "targetRef", deserialize_with = "pod")]
    pub pod: Option<Uid>,
}

/// The pod of an `ObjectReference`. What is none, or names none, is no pod's endpoint.
fn pod<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Uid>, D::Error> {
    let target = Value::deserialize(d)?;
    Ok(target["uid"].as_str().filter(|_| target["kind"] == "Pod").and_then(Uid::parse))
}

/// `EndpointConditions`. `None` reads as Kubernetes says: ready, serving as ready, not terminating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Takes new requests.
    pub ready: Option<bool>,
    /// Ready, whether terminating or not.
    pub serving: Option<bool>,
    /// On its way out.
    pub terminating: Option<bool>,
}

impl Conditions {
    /// Takes new requests.
    pub fn is_ready(self) -> bool {
        self.ready.unwrap_or(true)
    }
    /// Ready, whether terminating or not.
    pub fn is_serving(self) -> bool {
        self.serving.unwrap_or(self.is_ready())
    }
    /// On its way out.
    pub fn is_terminating(self) -> bool {
        self.terminating.unwrap_or(false)
    }
}

/// `EndpointHints`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hints {
    /// Zones whose clients should use it.
    pub for_zones: Vec<Hint>,
    /// Nodes whose clients should use it.
    pub for_nodes: Vec<Hint>,
}

/// `ForZone`, `ForNode`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// The zone's or node's name.
    pub name: Arc<str>,
}

/// `EndpointPort`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// As the Service's port's.
    #[serde(default)]
    pub name: Arc<str>,
    /// Carries it.
    #[serde(default)]
    pub protocol: Transport,
    /// The workload's port; `None` for all ports, which is not served.
    pub port: Option<Port>,
    /// What is spoken there.
    pub app_protocol: Option<Arc<str>>,
}

drop_unread! { Endpoint: "deprecatedTopology" }
