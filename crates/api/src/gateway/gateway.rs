//! Gateway: listeners, and who may attach to them.

use super::{AllowedListeners, GatewayTls, LocalRef, ObjectReference, hostname, validate};
use crate::{
    LabelSelector, Object, Report, Spec, Unsupported,
    manifest::{Fault, Parts},
};
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tombolo_core::{Host, Port};

/// `GatewaySpec`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The class that serves it.
    pub gateway_class_name: Arc<str>,
    /// What it listens on: 1 to 64, of distinct names.
    pub listeners: Vec<Listener>,
    /// Addresses asked for; any where empty.
    #[serde(default)]
    pub addresses: Vec<GatewayAddress>,
    /// Labels, annotations and parameters for what is made for it.
    pub infrastructure: Option<Infrastructure>,
    /// Which ListenerSets may add listeners; none where absent.
    pub allowed_listeners: Option<AllowedListeners>,
    /// Client certificates, frontend and backend: not supported yet.
    pub tls: Option<GatewayTls>,
    /// Experimental: not supported yet.
    pub default_scope: Option<Unsupported>,
}

/// `Listener`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Unique in its Gateway: what `sectionName` refers to.
    pub name: Arc<str>,
    /// Names served; all where absent.
    #[serde(default, deserialize_with = "hostname::optional")]
    pub hostname: Option<Host>,
    /// Port listened on; several listeners may share one.
    pub port: Port,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Required for HTTPS and TLS.
    pub tls: Option<ListenerTls>,
    /// Who may attach; routes of the same namespace and the protocol's kinds where absent.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
    /// Why it cannot be served, where an API server stores it as it is. Other fields than name, hostname, port and protocol may be
    /// missing then: those tell which requests are its own, and so no other listener's.
    #[serde(skip)]
    pub fault: Option<Box<Fault>>,
}

/// `ProtocolType`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the protocols' own names
pub enum Protocol {
    Http,
    Https,
    Tls,
    Tcp,
    Udp,
    /// Domain-prefixed, or unknown: an implementation may have its own.
    Other(Arc<str>),
}

impl Protocol {
    /// As manifests write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(d)?.as_str() {
            "HTTP" => Self::Http,
            "HTTPS" => Self::Https,
            "TLS" => Self::Tls,
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            other => Self::Other(other.into()),
        })
    }
}

/// `ListenerTLSConfig`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Who ends TLS.
    #[serde(default)]
    pub mode: TlsMode,
    /// Certificates to serve: required to terminate.
    #[serde(default)]
    pub certificate_refs: Vec<ObjectReference>,
    /// Implementation-specific: not supported.
    #[serde(default)]
    pub options: BTreeMap<Arc<str>, Arc<str>>,
}

/// `TLSModeType`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsMode {
    /// The gateway ends TLS.
    #[default]
    Terminate,
    /// The backend does.
    Passthrough,
}

/// `AllowedRoutes`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AllowedRoutes {
    /// Namespaces that routes may come from.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Kinds that may attach; the protocol's own where empty.
    #[serde(default)]
    pub kinds: Vec<RouteGroupKind>,
}

/// `RouteNamespaces`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RouteNamespaces {
    /// Which.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Required for, and only for, [`FromNamespaces::Selector`].
    pub selector: Option<LabelSelector>,
}

/// `FromNamespaces`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum FromNamespaces {
    /// Any.
    All,
    /// Those that the selector selects.
    Selector,
    /// The Gateway's own.
    #[default]
    Same,
    /// None.
    None,
}

/// `RouteGroupKind`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct RouteGroupKind {
    /// Defaults to the Gateway API's.
    #[serde(default = "gateway_group")]
    pub group: Arc<str>,
    /// The route's kind.
    pub kind: Arc<str>,
}

/// `GatewaySpecAddress`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "FlatAddress")]
pub struct GatewayAddress {
    /// `IPAddress`, `Hostname`, or domain-prefixed.
    pub kind: Arc<str>,
    /// Any address of the type where empty.
    pub value: Arc<str>,
}

/// As it is written, where an empty value is not an absent one.
#[derive(Deserialize)]
struct FlatAddress {
    #[serde(rename = "type", default = "ip_address")]
    kind: Arc<str>,
    value: Option<Arc<str>>,
}

impl TryFrom<FlatAddress> for GatewayAddress {
    type Error = String;

    fn try_from(FlatAddress { kind, value }: FlatAddress) -> Result<Self, String> {
        if matches!(&*kind, "IPAddress" | "Hostname") && value.as_deref() == Some("") {
            return Err(format!("an empty value is no {kind}: write one, or remove value to be given any"));
        }
        Ok(Self { kind, value: value.unwrap_or_default() })
    }
}

/// `GatewayInfrastructure` (GEP-1867)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Infrastructure {
    /// Put on everything made for the Gateway; at most 8.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Likewise; at most 16.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// More settings, in the Gateway's namespace.
    pub parameters_ref: Option<LocalRef>,
}

/// What tells a listener, and which requests are its own.
const ITS_OWN: &[&str] = &["name", "hostname", "port", "protocol"];

impl Spec for Gateway {
    const PARTS: Option<Parts> = Some(Parts { list: "listeners", core: ITS_OWN, vital: ITS_OWN });

    fn set_aside(&mut self, index: usize, fault: Fault) {
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.fault.get_or_insert(Box::new(fault));
        }
    }

    fn validate(object: &Object<Self>, report: &mut Report) {
        validate::gateway(object, report);
    }
}

fn gateway_group() -> Arc<str> {
    super::GROUP.into()
}
fn ip_address() -> Arc<str> {
    "IPAddress".into()
}
