//! The status of objects, as values: computed here, written by whoever may write.

use serde::Serialize;
use std::{net::IpAddr, sync::Arc};
use tombolo_api::gateway::{ParentRef, RouteGroupKind};
use tombolo_core::Host;

/// A condition without its time: the writer adds when it last changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`, `Programmed`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it holds.
    #[serde(serialize_with = "status_word")]
    pub status: bool,
    /// Why: one word, from the specification's lists.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
    /// The generation that this is about.
    pub observed_generation: i64,
}

/// An object's status.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// `GatewayClassStatus`
    #[serde(rename_all = "camelCase")]
    GatewayClass {
        /// Whether it is served.
        conditions: Vec<Condition>,
        /// What is claimed, by name, in order.
        #[serde(serialize_with = "features")]
        supported_features: Vec<&'static str>,
    },
    /// `ServiceEntryStatus`
    ServiceEntry {
        /// In a fixed order.
        conditions: Vec<Condition>,
        /// The addresses that its hosts were given.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        addresses: Vec<ServiceEntryAddress>,
    },
    /// Conditions alone: MeshInstallation, WorkloadEntry.
    Conditions {
        /// In a fixed order.
        conditions: Vec<Condition>,
    },
    /// `GatewayStatus`
    Gateway(GatewayStatus),
    /// `RouteStatus`
    Route {
        /// One entry for each reference to a parent of ours.
        parents: Vec<RouteParentStatus>,
    },
}

/// `ServiceEntryAddress`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceEntryAddress {
    /// The host.
    pub host: Host,
    /// One of its addresses.
    pub value: IpAddr,
}

/// `GatewayStatus`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatewayStatus {
    /// Of the Gateway as a whole.
    pub conditions: Vec<Condition>,
    /// Of each listener, in the spec's order.
    pub listeners: Vec<ListenerStatus>,
    /// Where it is reached; `None` where nobody deploys gateways, so that this is not ours to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<GatewayAddress>>,
}

/// `GatewayStatusAddress`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayAddress {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The address, or the name.
    pub value: Arc<str>,
}

/// `ListenerStatus`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener's name.
    pub name: Arc<str>,
    /// The kinds of routes that may attach.
    #[serde(serialize_with = "kinds")]
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes are attached, whether what they refer to is there or not.
    pub attached_routes: usize,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// `RouteParentStatus`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The reference, as the route has it.
    #[serde(serialize_with = "parent")]
    pub parent_ref: ParentRef,
    /// Who wrote this.
    pub controller_name: &'static str,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

impl Condition {
    /// A condition that holds.
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>, generation: i64) -> Self {
        Self { kind, status: true, reason, message: message.into(), observed_generation: generation }
    }

    /// A condition that does not hold.
    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<String>, generation: i64) -> Self {
        Self { status: false, ..Self::yes(kind, reason, message, generation) }
    }
}

fn status_word<S: serde::Serializer>(status: &bool, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(if *status { "True" } else { "False" })
}

fn features<S: serde::Serializer>(features: &[&str], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(features.iter().map(|name| std::collections::BTreeMap::from([("name", name)])))
}

fn kinds<S: serde::Serializer>(kinds: &[RouteGroupKind], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(kinds.iter().map(|k| std::collections::BTreeMap::from([("group", &*k.group), ("kind", &*k.kind)])))
}

fn parent<S: serde::Serializer>(parent: &ParentRef, s: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap as _;
    let mut map = s.serialize_map(None)?;
    map.serialize_entry("group", &*parent.group)?;
    map.serialize_entry("kind", &*parent.kind)?;
    if let Some(namespace) = &parent.namespace {
        map.serialize_entry("namespace", &**namespace)?;
    }
    map.serialize_entry("name", &*parent.name)?;
    if let Some(section) = &parent.section_name {
        map.serialize_entry("sectionName", &**section)?;
    }
    if let Some(port) = parent.port {
        map.serialize_entry("port", &port)?;
    }
    map.end()
}
