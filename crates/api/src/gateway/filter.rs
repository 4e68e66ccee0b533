//! How requests and responses are changed on the way.

use super::{BackendRef, ObjectReference, hostname};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tombolo_core::{Host, Port};

/// `HTTPRouteFilter`: one variant, with its settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "flat::HttpFilter")]
pub enum HttpFilter {
    /// Before the request goes on.
    RequestHeaderModifier(HeaderModifier),
    /// Before the response goes back.
    ResponseHeaderModifier(HeaderModifier),
    /// Answer with a redirect.
    RequestRedirect(Redirect),
    /// Change host or path before the request goes on.
    UrlRewrite(Rewrite),
    /// Send a copy, ignore its response.
    RequestMirror(Mirror),
    /// Answer cross-origin questions.
    Cors(CorsFilter),
    /// An implementation's own: none is known here.
    ExtensionRef(ObjectReference),
    /// Experimental: not supported yet.
    ExternalAuth,
}

/// `HTTPRouteFilterType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum FilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestRedirect,
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    RequestMirror,
    #[serde(rename = "CORS")]
    Cors,
    ExtensionRef,
    ExternalAuth,
}

impl HttpFilter {
    /// As manifests write it: `URLRewrite`.
    pub fn type_name(&self) -> &'static str {
        self.kind().names().0
    }

    fn kind(&self) -> FilterType {
        match self {
            Self::RequestHeaderModifier(_) => FilterType::RequestHeaderModifier,
            Self::ResponseHeaderModifier(_) => FilterType::ResponseHeaderModifier,
            Self::RequestRedirect(_) => FilterType::RequestRedirect,
            Self::UrlRewrite(_) => FilterType::UrlRewrite,
            Self::RequestMirror(_) => FilterType::RequestMirror,
            Self::Cors(_) => FilterType::Cors,
            Self::ExtensionRef(_) => FilterType::ExtensionRef,
            Self::ExternalAuth => FilterType::ExternalAuth,
        }
    }
}

impl FilterType {
    /// Its name, and its settings' field.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestHeaderModifier => ("RequestHeaderModifier", "requestHeaderModifier"),
            Self::ResponseHeaderModifier => ("ResponseHeaderModifier", "responseHeaderModifier"),
            Self::RequestRedirect => ("RequestRedirect", "requestRedirect"),
            Self::UrlRewrite => ("URLRewrite", "urlRewrite"),
            Self::RequestMirror => ("RequestMirror", "requestMirror"),
            Self::Cors => ("CORS", "cors"),
            Self::ExtensionRef => ("ExtensionRef", "extensionRef"),
            Self::ExternalAuth => ("ExternalAuth", "externalAuth"),
        }
    }
}

/// `HTTPHeaderFilter`: removals, then sets, then additions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct HeaderModifier {
    /// Replace, or add where absent.
    pub set: Vec<HttpHeader>,
    /// Append.
    pub add: Vec<HttpHeader>,
    /// Remove.
    pub remove: Vec<Arc<str>>,
}

/// `HTTPHeader`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct HttpHeader {
    /// Its name; compares without case.
    pub name: Arc<str>,
    /// Its value.
    pub value: Arc<str>,
}

/// `HTTPRequestRedirectFilter`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirect {
    /// The request's where absent.
    pub scheme: Option<RedirectScheme>,
    /// The request's where absent.
    #[serde(deserialize_with = "hostname::precise")]
    pub hostname: Option<Host>,
    /// The request's where absent.
    pub path: Option<PathModifier>,
    /// The scheme's well-known one if a scheme is given, else the listener's.
    pub port: Option<Port>,
    /// 301, 302, 303, 307 or 308; 302 where absent.
    pub status_code: Option<u16>,
}

/// A redirect's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum RedirectScheme {
    Http,
    Https,
}

/// `HTTPURLRewriteFilter`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rewrite {
    /// The new `Host`.
    #[serde(deserialize_with = "hostname::precise")]
    pub hostname: Option<Host>,
    /// The new path.
    pub path: Option<PathModifier>,
}

/// `HTTPPathModifier`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "flat::PathModifier")]
pub enum PathModifier {
    /// The whole path becomes this.
    Full(Arc<str>),
    /// The prefix that matched becomes this; only for rules whose matches are all prefixes.
    PrefixMatch(Arc<str>),
}

/// `HTTPRequestMirrorFilter`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "flat::Mirror")]
pub struct Mirror {
    /// Where copies go; its weight has no meaning.
    pub backend: BackendRef,
    /// The share of requests that is copied; all where absent.
    pub fraction: Option<Fraction>,
}

/// `Fraction`: a percentage is one with 100 below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Fraction {
    /// Not above the denominator.
    pub numerator: u64,
    /// Not zero; 100 where absent.
    #[serde(default = "hundred")]
    pub denominator: u64,
}

/// `HTTPCORSFilter` (GEP-1767)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsFilter {
    /// `scheme://host[:port]`, a wildcard as the host's first label, or `*`.
    pub allow_origins: Vec<Arc<str>>,
    /// Whether cookies and the like may be sent.
    pub allow_credentials: Option<bool>,
    /// Methods, or `*`.
    pub allow_methods: Vec<Arc<str>>,
    /// Request headers, or `*`.
    pub allow_headers: Vec<Arc<str>>,
    /// Response headers that scripts may see, or `*`.
    pub expose_headers: Vec<Arc<str>>,
    /// Seconds that a preflight's answer may be kept; 5 where absent.
    pub max_age: Option<i64>,
}

fn hundred() -> u64 {
    100
}

/// As they are written: a type and, beside it, the settings of that type.
mod flat {
    use super::{
        Arc, BackendRef, CorsFilter, Deserialize, FilterType, Fraction, HeaderModifier, ObjectReference, Redirect,
        Rewrite,
    };
    use crate::{Unsupported, gateway::LocalRef};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct HttpFilter {
        #[serde(rename = "type")]
        kind: FilterType,
        request_header_modifier: Option<HeaderModifier>,
        response_header_modifier: Option<HeaderModifier>,
        request_redirect: Option<Redirect>,
        url_rewrite: Option<Rewrite>,
        request_mirror: Option<super::Mirror>,
        cors: Option<CorsFilter>,
        extension_ref: Option<LocalRef>,
        external_auth: Option<Unsupported>,
    }

    impl TryFrom<HttpFilter> for super::HttpFilter {
        type Error = String;

        fn try_from(f: HttpFilter) -> Result<Self, String> {
            let (name, field) = f.kind.names();
            let extension = |LocalRef { group, kind, name }| ObjectReference { group, kind, name, namespace: None };
            let given = [
                f.request_header_modifier.map(Self::RequestHeaderModifier),
                f.response_header_modifier.map(Self::ResponseHeaderModifier),
                f.request_redirect.map(Self::RequestRedirect),
                f.url_rewrite.map(Self::UrlRewrite),
                f.request_mirror.map(Self::RequestMirror),
                f.cors.map(Self::Cors),
                f.extension_ref.map(extension).map(Self::ExtensionRef),
                f.external_auth.map(|_| Self::ExternalAuth),
            ];
            // Settings may stand only beside their own type.
            let (mut own, others): (Vec<_>, Vec<_>) = given.into_iter().flatten().partition(|g| g.kind() == f.kind);
            match others.first() {
                Some(other) => Err(format!("{} must not be set for a filter of type {name}", other.kind().names().1)),
                None => own.pop().ok_or_else(|| format!("{field} must be set for a filter of type {name}")),
            }
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct PathModifier {
        #[serde(rename = "type")]
        kind: PathModifierType,
        replace_full_path: Option<Arc<str>>,
        replace_prefix_match: Option<Arc<str>>,
    }

    #[derive(Deserialize)]
    #[allow(clippy::enum_variant_names)] // the API's own words
    enum PathModifierType {
        ReplaceFullPath,
        ReplacePrefixMatch,
    }

    impl TryFrom<PathModifier> for super::PathModifier {
        type Error = &'static str;

        fn try_from(p: PathModifier) -> Result<Self, &'static str> {
            match (p.kind, p.replace_full_path, p.replace_prefix_match) {
                (PathModifierType::ReplaceFullPath, Some(path), None) => Ok(Self::Full(path)),
                (PathModifierType::ReplacePrefixMatch, None, Some(prefix)) => Ok(Self::PrefixMatch(prefix)),
                (PathModifierType::ReplaceFullPath, ..) => {
                    Err("type ReplaceFullPath needs replaceFullPath and no replacePrefixMatch")
                }
                (PathModifierType::ReplacePrefixMatch, ..) => {
                    Err("type ReplacePrefixMatch needs replacePrefixMatch and no replaceFullPath")
                }
            }
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Mirror {
        backend_ref: BackendRef,
        percent: Option<u64>,
        fraction: Option<Fraction>,
    }

    impl TryFrom<Mirror> for super::Mirror {
        type Error = &'static str;

        fn try_from(m: Mirror) -> Result<Self, &'static str> {
            let fraction = match (m.percent, m.fraction) {
                (Some(_), Some(_)) => return Err("only one of percent and fraction may be set"),
                (Some(numerator), None) => Some(Fraction { numerator, denominator: 100 }),
                (None, fraction) => fraction,
            };
            match fraction {
                Some(f) if f.denominator == 0 => Err("denominator must not be 0"),
                Some(f) if f.numerator > f.denominator => Err("a mirror's share must not be above the whole"),
                _ => Ok(Self { backend: m.backend_ref, fraction }),
            }
        }
    }
}
