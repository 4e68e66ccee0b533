//! A user's mistake as a value.

use crate::{FieldPath, ObjectRef};
use serde::{Serialize, Serializer};
use std::{fmt, sync::Arc};

/// How much a problem costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object, or the part of it that is named, is not served as written; its last good content keeps serving where that is safe.
    Error,
    /// Served, but not all of it does what it says.
    Warning,
}

/// Where a manifest stood.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The file's path as the user named it; `-` for standard input.
    pub file: Arc<str>,
    /// Line of the document's first content, from 1; 0 where unknown.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

/// A user's mistake: which object, which field, what is wrong, and how to mend it. Ends as a status condition, an admission
/// warning or a line of `tombolo validate`; never as an `Err`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file it came from, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The object that is to be mended.
    pub object: ObjectRef,
    /// The field that is to be mended; empty for the whole object.
    #[serde(serialize_with = "display")]
    pub field: FieldPath,
    /// What it costs.
    pub severity: Severity,
    /// One word in CamelCase, as in a condition's `reason` and a metric's label.
    pub reason: &'static str,
    /// What is wrong: lower case, no final stop.
    pub message: String,
    /// What to do: imperative, no final stop. Empty where the message says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl Problem {
    /// An error at a field of an object.
    pub fn error(object: ObjectRef, field: FieldPath, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            origin: None,
            object,
            field,
            severity: Severity::Error,
            reason,
            message: message.into(),
            fix: String::new(),
        }
    }

    /// A warning at a field of an object.
    pub fn warning(object: ObjectRef, field: FieldPath, reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(object, field, reason, message) }
    }

    /// This problem with the fix named.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// This problem with the file named.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// True where the object is not served as written.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}", self.object)?;
        if !self.field.is_root() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        write!(f, " [{}]", self.reason)
    }
}

fn display<T: fmt::Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}
