//! The metadata that every object has, and selectors over it.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, sync::Arc};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Seconds since 1970, read from RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(|t| Self(t.unix_timestamp()))
            .map_err(|_| D::Error::custom(format!("{text:?} is not a time as in 2026-01-31T12:00:00Z")))
    }
}

/// Labels or annotations: few, ordered, shared.
pub type Labels = Arc<BTreeMap<Arc<str>, Arc<str>>>;

/// The part of `ObjectMeta` that is read. The rest (`managedFields`, `finalizers`, …) is accepted and dropped by
/// [`crate::manifest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The object's name.
    pub name: Arc<str>,
    /// Its namespace; empty for cluster-scoped kinds, `default` where a namespaced manifest names none.
    pub namespace: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// How often its spec has changed: what `observedGeneration` reports. Counted by the source where no API server does.
    pub generation: i64,
    /// Its instance; empty in a directory.
    pub uid: Arc<str>,
    /// When it was made; `None` in a directory. `None` sorts first: age decides ties only between objects that have one.
    pub creation_timestamp: Option<Timestamp>,
    /// Set once it is being deleted.
    pub deletion_timestamp: Option<Timestamp>,
}

impl Metadata {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|v| &**v)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|v| &**v)
    }
}

/// `metav1.LabelSelector`. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// All of these.
    pub match_labels: BTreeMap<Arc<str>, Arc<str>>,
    /// And all of these.
    pub match_expressions: Vec<Requirement>,
}

/// `metav1.LabelSelectorRequirement`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Requirement {
    /// The label's key.
    pub key: Arc<str>,
    /// How its value relates to `values`.
    pub operator: SelectorOperator,
    /// Not empty for `In` and `NotIn`; empty for the others.
    #[serde(default)]
    pub values: Vec<Arc<str>>,
}

/// How a label relates to a requirement's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // Kubernetes' own words
pub enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// True where the labels meet every requirement.
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|r| {
                let value = labels.get(&r.key);
                match r.operator {
                    SelectorOperator::In => value.is_some_and(|v| r.values.contains(v)),
                    SelectorOperator::NotIn => value.is_none_or(|v| !r.values.contains(v)),
                    SelectorOperator::Exists => value.is_some(),
                    SelectorOperator::DoesNotExist => value.is_none(),
                }
            })
    }
}
