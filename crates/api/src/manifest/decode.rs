//! One document to one object.

use crate::{AnyObject, Kind, Metadata, Object, Report, Spec, object::decode_kind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;
use tombolo_core::{FieldPath, NamespacedName, ObjectRef, Origin, Problem};

/// What became of one document.
#[derive(Debug)]
pub struct Decoded {
    /// The object, unless a problem is an error.
    pub object: Option<AnyObject>,
    /// Which object it is, as far as that could be read: its last good content may be kept.
    pub reference: ObjectRef,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A document's fields, read but not yet typed.
pub(crate) struct Fields {
    metadata: Metadata,
    body: Map<String, Value>,
}

/// Reads and checks one document. Kinds that are not known here are refused with the list of those that are.
pub fn decode(document: Value, origin: Option<Origin>) -> Decoded {
    let reference = reference(&document);
    let mut report = Report::new(reference.clone(), origin);
    let object = decode_object(document, &mut report).filter(|_| !report.has_errors());
    Decoded { object, reference, problems: report.into_problems() }
}

fn reference(document: &Value) -> ObjectRef {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ObjectRef::new(text("/kind"), NamespacedName::new(text("/metadata/namespace"), text("/metadata/name")))
}

fn decode_object(document: Value, report: &mut Report) -> Option<AnyObject> {
    let Value::Object(mut body) = document else {
        report.error(
            FieldPath::root(),
            "Malformed",
            "the document is not a mapping",
            "start it with apiVersion and kind",
        );
        return None;
    };
    let kind = kind(&mut body, report)?;
    let metadata = body.remove("metadata").unwrap_or_default();
    let mut metadata: Metadata = typed(metadata, &FieldPath::from("metadata"), report)?;
    if kind.namespaced() && metadata.namespace.is_empty() {
        metadata.namespace = "default".into();
    }
    body.remove("status"); // the control plane's own to write
    decode_kind(kind, Fields { metadata, body }, report)
}

fn kind(body: &mut Map<String, Value>, report: &mut Report) -> Option<Kind> {
    let mut text = |key: &str| body.remove(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let found = Kind::find(group, &name).filter(|k| k.versions().contains(&version));
    if found.is_none() {
        let message = format!("kind {name:?} of {api_version:?} is not known here");
        report.error(FieldPath::from("kind"), "UnknownKind", message, "see the list of kinds in the documentation");
    }
    found
}

impl Fields {
    pub(crate) fn decode<S: Spec>(mut self, report: &mut Report) -> Option<AnyObject> {
        let (value, path) = match S::FLAT {
            true => (Value::Object(self.body), FieldPath::root()),
            false => {
                let spec = self.body.remove("spec").unwrap_or_else(|| Value::Object(Map::new()));
                (spec, FieldPath::from("spec"))
            }
        };
        let spec: S = typed(value, &path, report)?;
        let mut object = Object { metadata: self.metadata, spec };
        S::default(&mut object);
        S::validate(&object, report);
        Some(S::wrap(Arc::new(object)))
    }
}

/// Deserializes, naming the path of a mistyped field and of every unknown one.
fn typed<T: DeserializeOwned>(value: Value, path: &FieldPath, report: &mut Report) -> Option<T> {
    let mut unknown = Vec::new();
    let result = {
        let mut ignored = |p: serde_ignored::Path<'_>| unknown.push(path.join(&p.to_string()));
        let deserializer = serde_ignored::Deserializer::new(value, &mut ignored);
        serde_path_to_error::deserialize::<_, T>(deserializer)
    };
    for field in unknown {
        report.error(field, "UnknownField", "unknown field", "remove it, or correct its spelling");
    }
    match result {
        Ok(typed) => Some(typed),
        Err(error) => {
            let at = path.join(&error.path().to_string());
            report.error(at, "InvalidValue", error.into_inner().to_string(), "see the field's documentation");
            None
        }
    }
}
