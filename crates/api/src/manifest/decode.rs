//! One document to one object.

use super::{identity::identify, parts::Faults, strict, wording::shorten};
use crate::{AnyObject, Kind, Metadata, Object, Report, Spec, object::decode_kind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;
use tombolo_core::{FieldPath, NamespacedName, ObjectRef, Origin, Problem};

/// What became of one document.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The object, unless a problem is an error that costs all of it.
    pub object: Option<AnyObject>,
    /// Its kind, if it is one that is read here. Foreign kinds may have names like ours.
    pub kind: Option<Kind>,
    /// Which object it is, as far as that could be read: its last good content may be kept.
    pub reference: ObjectRef,
    /// Where it stood.
    pub origin: Option<Origin>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl Decoded {
    /// True for a kind that no mesh reads (a Deployment, a Role, …): it is no mistake to have one among the manifests.
    pub fn is_foreign(&self) -> bool {
        self.object.is_none() && self.problems.is_empty()
    }

    /// True where it is known which object this is, whatever else is wrong with it.
    pub fn is_identified(&self) -> bool {
        !self.reference.kind.is_empty() && !self.reference.name.name.is_empty()
    }
}

/// A document's fields, read but not yet typed.
pub(crate) struct Fields {
    metadata: Metadata,
    body: Map<String, Value>,
}

/// Reads and checks one document.
///
/// A kind of a group that is read here, and is itself not read, is a problem: a warning if it is to come, an error if there is
/// no such kind. A kind of any other group is nobody's mistake: see [`Decoded::is_foreign`].
pub fn decode(document: Value, origin: Option<Origin>) -> Decoded {
    let (kind, reference) = reference(&document);
    let report = Report::new(reference.clone(), origin.clone());
    Decoded { origin, ..checked(document, kind, reference, report) }
}

/// Reads and checks an object that an API server stores. A field that is not known here was accepted by its schema: a warning. What is
/// wrong with one of its [`Parts`] costs that part only: an error all the same, which the part knows of too ([`Fault`]).
pub fn decode_stored(document: Value) -> Decoded {
    let (kind, reference) = reference(&document);
    let report = Report::of_stored(reference.clone());
    checked(document, kind, reference, report)
}

fn checked(document: Value, kind: Option<Kind>, reference: ObjectRef, mut report: Report) -> Decoded {
    let object = decode_object(document, &mut report).filter(|_| !report.has_errors());
    Decoded { object, kind, reference, origin: None, problems: report.into_problems() }
}

fn reference(document: &Value) -> (Option<Kind>, ObjectRef) {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace) = (text("/kind"), text("/metadata/namespace"));
    let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    let found = Kind::find(group, kind);
    let namespace = match found {
        Some(kind) if !kind.namespaced() => "",
        Some(_) if namespace.is_empty() => Metadata::DEFAULT_NAMESPACE,
        _ => namespace,
    };
    (found, ObjectRef::new(shorten(kind), NamespacedName::new(shorten(namespace), shorten(text("/metadata/name")))))
}

fn decode_object(document: Value, report: &mut Report) -> Option<AnyObject> {
    let Value::Object(mut body) = document else {
        let fix = "begin it with apiVersion and kind";
        report.error(FieldPath::root(), "Malformed", "the document is not a mapping", fix);
        return None;
    };
    let api_version = word(&mut body, "apiVersion", report);
    let name = word(&mut body, "kind", report);
    let kind = identify(&api_version?, &name?, report)?;
    let metadata = body.remove("metadata").filter(|m| !m.is_null()).unwrap_or_else(|| Value::Object(Map::new()));
    let mut metadata: Metadata = typed(&metadata, &FieldPath::from("metadata"), report)?;
    metadata.settle(kind, report);
    body.remove("status"); // the control plane's own to write
    decode_kind(kind, Fields { metadata, body }, report)
}

/// Takes a word that every document has.
fn word(body: &mut Map<String, Value>, key: &str, report: &mut Report) -> Option<String> {
    let message = match body.remove(key) {
        Some(Value::String(word)) if !word.is_empty() => return Some(word),
        None | Some(Value::Null) => "required, but missing",
        Some(_) => "expected a word",
    };
    report.error(FieldPath::from(key), "Malformed", message, "begin the document with apiVersion and kind");
    None
}

impl Fields {
    pub(crate) fn decode<S: Spec>(mut self, report: &mut Report) -> Option<AnyObject> {
        let (mut spec, path) = if S::FLAT {
            (Value::Object(self.body), FieldPath::root())
        } else {
            let spec = self.body.remove("spec").filter(|s| !s.is_null());
            if S::SPEC_REQUIRED && spec.is_none() {
                report.error(FieldPath::from("spec"), "Required", "required, but missing", "add spec");
            }
            for key in self.body.keys() {
                unknown(strict::Unknown::beside_spec(key), report);
            }
            (spec.unwrap_or_else(|| Value::Object(Map::new())), FieldPath::from("spec"))
        };
        let mut faults = Faults::default();
        let spec = loop {
            let said = report.len();
            match typed(&spec, &path, report) {
                Some(spec) => break spec,
                // What else was said of it is said again.
                None if faults.strip::<S>(&mut spec, report) => report.truncate(said),
                None => return None,
            }
        };
        let mut object = Object { metadata: self.metadata, spec };
        faults.tell(&mut object.spec);
        S::default(&mut object);
        S::validate(&object, report);
        faults.bear::<S>(report);
        faults.tell(&mut object.spec);
        Some(S::wrap(Arc::new(object)))
    }
}

/// Reads a type, naming the path of a mistyped field and of every unknown one.
fn typed<T: DeserializeOwned>(value: &Value, path: &FieldPath, report: &mut Report) -> Option<T> {
    let (result, unknowns) = strict::read(value, path);
    for field in unknowns {
        unknown(field, report);
    }
    result.map_err(|mistyped| mistyped.tell(report)).ok()
}

fn unknown(field: strict::Unknown, report: &mut Report) {
    let fix = match field.nearest {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove it".to_owned(),
    };
    report.unknown(field.path, fix);
}
