//! The metadata that every object has, and selectors over it.

use crate::{Kind, Labels, Report, syntax};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};
use std::{collections::BTreeMap, sync::Arc};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tombolo_core::FieldPath;

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

/// The part of `ObjectMeta` that is read. The rest (`managedFields`, `finalizers`, …) is accepted and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "ObjectMeta")]
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

/// `metav1.ObjectMeta`: every field that manifests, and objects got from a cluster, may have.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectMeta {
    name: Arc<str>,
    namespace: Arc<str>,
    labels: Labels,
    annotations: Labels,
    generation: i64,
    uid: Arc<str>,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: IgnoredAny,
    #[serde(rename = "finalizers")]
    _finalizers: IgnoredAny,
    #[serde(rename = "generateName")]
    _generate_name: IgnoredAny,
    #[serde(rename = "managedFields")]
    _managed_fields: IgnoredAny,
    #[serde(rename = "ownerReferences")]
    _owner_references: IgnoredAny,
    #[serde(rename = "resourceVersion")]
    _resource_version: IgnoredAny,
    #[serde(rename = "selfLink")]
    _self_link: IgnoredAny,
}

impl From<ObjectMeta> for Metadata {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            labels: meta.labels,
            annotations: meta.annotations,
            generation: meta.generation,
            uid: meta.uid,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
        }
    }
}

/// What the annotations of one object may have together. Bytes, as the API server counts them.
const MOST_ANNOTATIONS: usize = 256 << 10;

impl Metadata {
    /// The namespace of a manifest that names none.
    pub const DEFAULT_NAMESPACE: &'static str = "default";

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|v| &**v)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|v| &**v)
    }

    /// Fills in the namespace, and checks what the API server checks of every object of a kind.
    pub(crate) fn settle(&mut self, kind: Kind, report: &mut Report) {
        let field = FieldPath::from("metadata");
        self.settle_namespace(kind, &field.key("namespace"), report);
        check_name(kind, &self.name, field.key("name"), report);
        check_labels(self.labels.iter(), &field.key("labels"), report);
        for (key, _) in self.annotations.iter() {
            // Prefixes of annotations are compared without case.
            if let Some(rule) = syntax::qualified_name(&key.to_ascii_lowercase()) {
                invalid(report, field.key("annotations").key(key), "annotation's key", rule);
            }
        }
        let size: usize = self.annotations.iter().map(|(k, v)| k.len() + v.len()).sum();
        if size > MOST_ANNOTATIONS {
            let message = format!("{size} bytes; at most {MOST_ANNOTATIONS} are allowed together");
            report.error(field.key("annotations"), "TooLong", message, "shorten or remove some");
        }
    }

    fn settle_namespace(&mut self, kind: Kind, field: &FieldPath, report: &mut Report) {
        if !kind.namespaced() {
            if !self.namespace.is_empty() {
                let message = format!("a {kind} stands in no namespace");
                report.warning(field.clone(), "NoNamespace", message, "remove it");
            }
            self.namespace = "".into();
        } else if self.namespace.is_empty() {
            self.namespace = Self::DEFAULT_NAMESPACE.into();
        } else if let Some(rule) = syntax::dns_label(&self.namespace) {
            invalid(report, field.clone(), "namespace", rule);
        }
    }
}

fn check_name(kind: Kind, name: &str, field: FieldPath, report: &mut Report) {
    if name.is_empty() {
        return report.error(field, "Required", "required, but missing", "add metadata.name");
    }
    let broken = match kind {
        Kind::Namespace => syntax::dns_label(name),
        Kind::Service => syntax::service_name(name),
        _ => syntax::dns_subdomain(name),
    };
    if let Some(rule) = broken {
        invalid(report, field, "name", rule);
    }
}

/// Checks the syntax of labels, be they an object's or a selector's.
pub(crate) fn check_labels<'a>(
    labels: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    field: &FieldPath,
    report: &mut Report,
) {
    for (key, value) in labels {
        if let Some(rule) = syntax::qualified_name(key) {
            invalid(report, field.key(key), "label's key", rule);
        }
        if let Some(rule) = syntax::label_value(value) {
            invalid(report, field.key(key), "label's value", rule);
        }
    }
}

fn invalid(report: &mut Report, field: FieldPath, what: &str, rule: syntax::Broken) {
    report.error(field, "InvalidName", format!("not a valid {what}"), rule);
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
    /// Checks keys, values, and that each operator has the values that it needs.
    pub(crate) fn validate(&self, field: &FieldPath, report: &mut Report) {
        check_labels(&self.match_labels, &field.key("matchLabels"), report);
        for (i, requirement) in self.match_expressions.iter().enumerate() {
            requirement.validate(&field.key("matchExpressions").index(i), report);
        }
    }

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

impl Requirement {
    fn validate(&self, field: &FieldPath, report: &mut Report) {
        if let Some(rule) = syntax::qualified_name(&self.key) {
            invalid(report, field.key("key"), "label's key", rule);
        }
        for (i, value) in self.values.iter().enumerate() {
            if let Some(rule) = syntax::label_value(value) {
                invalid(report, field.key("values").index(i), "label's value", rule);
            }
        }
        let wants_values = matches!(self.operator, SelectorOperator::In | SelectorOperator::NotIn);
        if wants_values == self.values.is_empty() {
            let (message, fix) = match wants_values {
                true => ("In and NotIn compare with values, and there is none", "add a value"),
                false => ("Exists and DoesNotExist take no values", "remove them"),
            };
            report.error(field.key("values"), "InvalidSelector", message, fix);
        }
    }
}
