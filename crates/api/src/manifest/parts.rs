//! Elements of an object that can be served without each other, such as listeners: what is wrong with one of them costs that one.
//!
//! So it is in objects that an API server stores. It accepted them, and whoever wrote them sees it; what is refused here must be said
//! where it stands, in the element's own condition. In a file the whole object waits until it is mended.

use crate::{Report, Spec};
use serde_json::{Map, Value};
use std::fmt;
use tombolo_core::{FieldPath, Problem};

/// A list of elements that can be served without each other.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The list, a field of the spec.
    pub list: &'static str,
    /// The fields that stay where another one cannot be read: they tell an element, and what is its own and so no other's.
    pub core: &'static [&'static str],
    /// Those of them of which what is wrong costs the whole object.
    pub vital: &'static [&'static str],
}

/// Why an element cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field that is to be mended, within the object.
    pub field: FieldPath,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl From<&Problem> for Fault {
    fn from(problem: &Problem) -> Self {
        let Problem { field, message, fix, .. } = problem;
        let message = if fix.is_empty() { message.clone() } else { format!("{message}; {fix}") };
        Self { field: field.clone(), message }
    }
}

/// The elements that were found to be at fault, by their index.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(usize, Fault)>);

impl Faults {
    /// After reading failed: leaves nothing but the core of the element at fault. True where reading again may help.
    pub(super) fn strip<S: Spec>(&mut self, spec: &mut Value, report: &mut Report) -> bool {
        let before = self.0.len();
        report.bear(|problem| {
            let Some((parts, index, name)) = part::<S>(&problem.field) else { return false };
            let element = spec.get_mut(parts.list).and_then(|list| list.get_mut(index)).and_then(Value::as_object_mut);
            let stripped = element.is_some_and(|element| parts.strip(element, name));
            if stripped {
                self.0.push((index, problem.into()));
            }
            stripped
        });
        self.0.len() > before
    }

    /// After an object was checked.
    pub(super) fn bear<S: Spec>(&mut self, report: &mut Report) {
        report.bear(|problem| {
            let part = part::<S>(&problem.field);
            self.0.extend(part.map(|(_, index, _)| (index, problem.into())));
            part.is_some()
        });
    }

    /// Tells the elements. Of several faults of one the first counts.
    pub(super) fn tell<S: Spec>(&mut self, spec: &mut S) {
        self.0.drain(..).for_each(|(index, fault)| spec.set_aside(index, fault));
    }
}

impl Parts {
    /// Takes the rest of an element away, or empties the one field of its core that cannot be read: a list, which then says nothing.
    /// True where there was something to take.
    fn strip(&self, element: &mut Map<String, Value>, name: &str) -> bool {
        let (before, nothing) = (element.len(), Value::Array(Vec::new()));
        if let Some(value) = element.get_mut(name).filter(|_| self.core.contains(&name)) {
            return std::mem::replace(value, nothing.clone()) != nothing;
        }
        element.retain(|key, _| self.core.contains(&key.as_str()));
        element.len() < before
    }
}

/// The element that a field is of, and the field's name there, unless it is vital.
fn part<S: Spec>(field: &FieldPath) -> Option<(Parts, usize, &str)> {
    let parts = S::PARTS?;
    let path = field.as_str().strip_prefix("spec.")?.strip_prefix(parts.list)?.strip_prefix('[')?;
    let (index, rest) = path.split_once(']')?;
    let name = rest.strip_prefix('.').unwrap_or_default();
    let name = name.split(['.', '[']).next().unwrap_or_default();
    Some((parts, index.parse().ok()?, name)).filter(|_| !parts.vital.contains(&name))
}
