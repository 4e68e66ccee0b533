//! HTTPRoute: which requests go where, and how they are changed on the way.

use super::{BackendRef, HttpFilter, HttpMatch, ParentRef, hostname, validate};
use crate::{
    Duration, Object, Report, Spec, Unsupported,
    manifest::{Fault, Parts},
};
use serde::Deserialize;
use std::sync::Arc;
use tombolo_core::{FieldPath, Host};

/// `HTTPRouteSpec`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// What it wants to be attached to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Names served, each narrowed to what the listener serves; the listener's where empty.
    #[serde(default, deserialize_with = "hostname::list")]
    pub hostnames: Vec<Host>,
    /// In any order: precedence is by match. One that matches everything where absent.
    #[serde(default = "one_default_rule")]
    pub rules: Vec<HttpRule>,
    /// Experimental: not supported yet.
    pub use_default_gateways: Option<Unsupported>,
}

/// `HTTPRouteRule`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRule {
    /// Unique in its route.
    pub name: Option<Arc<str>>,
    /// Any of these: one that matches every request where absent. Written and empty, it means the same, save that there is no
    /// prefix to replace.
    #[serde(default = "one_default_match")]
    pub matches: Vec<HttpMatch>,
    /// Applied to every request of the rule.
    pub filters: Vec<HttpFilter>,
    /// Shares of the rule's requests.
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long it may take.
    pub timeouts: Option<Timeouts>,
    /// When to try again (GEP-1731).
    pub retry: Option<Retry>,
    /// Experimental: not supported yet.
    pub session_persistence: Option<Unsupported>,
    /// Why it cannot be served, where an API server stores it as it is. Other fields than name and matches may be missing then.
    #[serde(skip)]
    pub fault: Option<Box<Fault>>,
    /// Those of its matches that cannot be told, by their index, and why: no request matches one, the others count.
    #[serde(skip)]
    pub untold: Vec<(usize, Fault)>,
}

/// `HTTPBackendRef`: a share of a rule's requests, with filters of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "flat::HttpBackendRef")]
pub struct HttpBackendRef {
    /// Where to.
    pub backend: BackendRef,
    /// Applied only to this share.
    pub filters: Vec<HttpFilter>,
}

/// `HTTPRouteTimeouts` (GEP-1742). Zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// From the whole request received to the whole response sent, retries included.
    pub request: Option<Duration>,
    /// One try at one backend; not above `request`.
    pub backend_request: Option<Duration>,
}

/// `HTTPRouteRetry` (GEP-1731)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Status codes that are tried again, 400 to 599.
    pub codes: Vec<u16>,
    /// How often at most; at least once.
    pub attempts: Option<u32>,
    /// The least time between tries.
    pub backoff: Option<Duration>,
}

impl Spec for HttpRoute {
    /// A rule goes on matching what it matches: its requests are not for the rules beside it.
    const PARTS: Option<Parts> = Some(Parts { list: "rules", core: &["name", "matches"], vital: &["name"] });

    fn set_aside(&mut self, index: usize, fault: Fault) {
        let Some(rule) = self.rules.get_mut(index) else { return };
        match match_of(&fault.field) {
            Some(index) => rule.untold.push((index, fault)),
            None => _ = rule.fault.get_or_insert(Box::new(fault)),
        }
    }

    fn validate(object: &Object<Self>, report: &mut Report) {
        validate::http_route(object, report);
    }
}

/// Which match of its rule a field is of.
fn match_of(field: &FieldPath) -> Option<usize> {
    let (_, within) = field.as_str().split_once("].matches[")?;
    within.split_once(']')?.0.parse().ok()
}

impl HttpRule {
    /// What it matches: every request, where it names nothing.
    pub fn told(&self) -> Vec<HttpMatch> {
        if self.matches.is_empty() && self.untold.is_empty() {
            return one_default_match();
        }
        let is_told = |index: &usize| self.untold.iter().all(|(untold, _)| untold != index);
        let mut told: Vec<_> =
            self.matches.iter().enumerate().filter(|(index, _)| is_told(index)).map(|(_, one)| one.clone()).collect();
        told.shrink_to_fit(); // most have one, and are collected with room for four
        told
    }
}

fn one_default_rule() -> Vec<HttpRule> {
    vec![HttpRule { matches: one_default_match(), ..HttpRule::default() }]
}

fn one_default_match() -> Vec<HttpMatch> {
    vec![HttpMatch::default()]
}

/// As it is written: the reference's fields and the filters side by side. (`serde(flatten)` would hide unknown fields.)
mod flat {
    use super::{Arc, BackendRef, Deserialize, HttpFilter};
    use tombolo_core::Port;

    #[derive(Deserialize)]
    pub(super) struct HttpBackendRef {
        #[serde(default)]
        group: Arc<str>,
        #[serde(default = "service")]
        kind: Arc<str>,
        name: Arc<str>,
        namespace: Option<Arc<str>>,
        port: Option<Port>,
        #[serde(default = "one")]
        weight: u32,
        #[serde(default)]
        filters: Vec<HttpFilter>,
    }

    fn service() -> Arc<str> {
        "Service".into()
    }
    fn one() -> u32 {
        1
    }

    impl From<HttpBackendRef> for super::HttpBackendRef {
        fn from(flat: HttpBackendRef) -> Self {
            let HttpBackendRef { group, kind, name, namespace, port, weight, filters } = flat;
            Self { backend: BackendRef { group, kind, name, namespace, port, weight }, filters }
        }
    }
}
