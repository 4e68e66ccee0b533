//! What a request must be like.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{collections::HashSet, sync::Arc};

/// `HTTPRouteMatch`: all of its conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatch {
    /// Defaults to the prefix `/`.
    pub path: PathMatch,
    /// All of these; of several for one name the first counts.
    #[serde(deserialize_with = "header_matches")]
    pub headers: Vec<HeaderMatch>,
    /// All of these; of several for one name the first counts.
    pub query_params: Vec<QueryParamMatch>,
    /// Any where absent.
    pub method: Option<Method>,
}

/// `HTTPPathMatch`
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum PathMatch {
    /// The whole path, case-sensitive.
    Exact(Arc<str>),
    /// Whole path elements: `/foo` matches `/foo` and `/foo/bar`, not `/foobar`. A trailing slash is ignored.
    Prefix(Arc<str>),
    /// The whole path against a regular expression in RE2's syntax.
    Regex(Arc<str>),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

impl<'de> Deserialize<'de> for PathMatch {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Flat {
            #[serde(rename = "type", default)]
            kind: Kind,
            #[serde(default = "slash")]
            value: Arc<str>,
        }
        #[derive(Default, Deserialize)]
        enum Kind {
            Exact,
            #[default]
            PathPrefix,
            RegularExpression,
        }
        fn slash() -> Arc<str> {
            "/".into()
        }
        let Flat { kind, value } = Flat::deserialize(d)?;
        Ok(match kind {
            Kind::Exact => Self::Exact(value),
            Kind::PathPrefix => Self::Prefix(value),
            Kind::RegularExpression => Self::Regex(value),
        })
    }
}

/// A value that must be equal to a text, or match a regular expression as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[allow(missing_docs)]
pub enum ValueMatch {
    Exact(Arc<str>),
    Regex(Arc<str>),
}

/// `HTTPHeaderMatch`. Names compare without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "NamedValue")]
pub struct HeaderMatch {
    /// The header's name, lower case.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: ValueMatch,
}

/// `HTTPQueryParamMatch`. Names compare exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "NamedValue")]
pub struct QueryParamMatch {
    /// The parameter's name.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: ValueMatch,
}

#[derive(Deserialize)]
struct NamedValue {
    #[serde(rename = "type", default)]
    kind: ValueKind,
    name: Arc<str>,
    value: Arc<str>,
}

#[derive(Default, Deserialize)]
enum ValueKind {
    #[default]
    Exact,
    RegularExpression,
}

impl NamedValue {
    fn split(self) -> (Arc<str>, ValueMatch) {
        let value = match self.kind {
            ValueKind::Exact => ValueMatch::Exact(self.value),
            ValueKind::RegularExpression => ValueMatch::Regex(self.value),
        };
        (self.name, value)
    }
}

/// Headers by name. The schema compares names as they are written; that those which differ in case are the same header is for
/// validation to tell.
fn header_matches<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<HeaderMatch>, D::Error> {
    let list = Vec::<NamedValue>::deserialize(d)?;
    let mut seen = HashSet::new();
    match list.iter().find(|header| !seen.insert(&header.name)) {
        Some(header) => Err(D::Error::custom(format!("header {} stands here twice", header.name))),
        None => Ok(list.into_iter().map(HeaderMatch::from).collect()),
    }
}

impl From<NamedValue> for HeaderMatch {
    fn from(flat: NamedValue) -> Self {
        let (name, value) = flat.split();
        Self { name: name.to_ascii_lowercase().into(), value }
    }
}

impl From<NamedValue> for QueryParamMatch {
    fn from(flat: NamedValue) -> Self {
        let (name, value) = flat.split();
        Self { name, value }
    }
}

/// `HTTPMethod`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(&'static str);

impl Method {
    /// The methods that a route may match.
    pub const ALL: [&'static str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

    /// What a browser asks with, before it sends a cross-origin request.
    pub const OPTIONS: Self = Self("OPTIONS");

    /// As requests write it.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::ALL
            .into_iter()
            .find(|m| *m == text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is not one of {}", Self::ALL.join(", "))))
    }
}
