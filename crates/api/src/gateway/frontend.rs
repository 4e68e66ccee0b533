//! What a Gateway says of its clients' certificates, of its own to backends, and of listeners that others bring.
//!
//! None of it is supported yet. It is read all the same, so that what no API server would store is told here too.

use super::{FromNamespaces, ObjectReference, ParametersRef};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::Port;

/// `GatewayTLSConfig`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GatewayTls {
    /// Towards backends.
    pub backend: Option<BackendTls>,
    /// Towards clients.
    pub frontend: Option<FrontendTls>,
}

/// `GatewayBackendTLS`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTls {
    /// The certificate that the gateway shows.
    pub client_certificate_ref: Option<ObjectReference>,
}

/// `FrontendTLSConfig`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    /// For every port that has no settings of its own.
    pub default: PortTls,
    /// For some ports, each once.
    #[serde(default)]
    pub per_port: Vec<OnePort>,
}

/// `TLSPortConfig`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OnePort {
    /// Which.
    pub port: Port,
    /// Its settings.
    pub tls: PortTls,
}

/// `TLSConfig`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PortTls {
    /// How clients' certificates are checked; not at all where absent.
    pub validation: Option<ClientValidation>,
}

/// `FrontendTLSValidation`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientValidation {
    /// Whose certificates are trusted: 1 to 16.
    pub ca_certificate_refs: Vec<ParametersRef>,
    /// What becomes of others.
    #[serde(default)]
    pub mode: ClientValidationMode,
}

/// `FrontendValidationModeType`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(clippy::enum_variant_names)] // the API's own words
pub enum ClientValidationMode {
    /// They are refused.
    #[default]
    AllowValidOnly,
    /// They are let in.
    AllowInsecureFallback,
}

/// `AllowedListeners` (GEP-1713)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedListeners {
    /// From which namespaces; none where absent.
    pub namespaces: Option<ListenerNamespaces>,
}

/// `ListenerNamespaces`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ListenerNamespaces {
    /// Which; none where absent.
    pub from: Option<FromNamespaces>,
    /// Those that it selects.
    pub selector: Option<SelectorText>,
}

/// A `LabelSelector` of which nothing is known but its form: an API server stores whatever its texts say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorText {
    /// All of these.
    pub match_labels: BTreeMap<Arc<str>, Arc<str>>,
    /// And all of these.
    pub match_expressions: Vec<RequirementText>,
}

/// A `LabelSelectorRequirement`, likewise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequirementText {
    /// The label's key.
    pub key: Arc<str>,
    /// How its value relates to `values`.
    pub operator: Arc<str>,
    /// What it is compared with.
    #[serde(default)]
    pub values: Vec<Arc<str>>,
}
