//! Collecting problems of one object.

use tombolo_core::{FieldPath, ObjectRef, Origin, Problem};

/// The problems of one object, collected while it is read and checked.
#[derive(Debug)]
pub struct Report {
    object: ObjectRef,
    origin: Option<Origin>,
    problems: Vec<Problem>,
    /// Those that cost a part of the object only.
    borne: Vec<Problem>,
    stored: bool,
}

impl Report {
    /// A report on an object, with the place where it stands, if it has one.
    pub fn new(object: ObjectRef, origin: Option<Origin>) -> Self {
        Self { object, origin, problems: Vec::new(), borne: Vec::new(), stored: false }
    }

    /// The same for an object that an API server stores, whose schema has accepted its fields: those that are not known here are
    /// newer than this, and no mistake.
    pub(crate) fn of_stored(object: ObjectRef) -> Self {
        Self { stored: true, ..Self::new(object, None) }
    }

    /// Nobody knows the field.
    pub(crate) fn unknown(&mut self, field: FieldPath, fix: impl Into<String>) {
        if self.stored {
            self.unsupported(field, "see whether a newer version of the control plane knows it");
        } else {
            self.error(field, "UnknownField", "unknown field", fix);
        }
    }

    /// The object cannot be served as written. `message`: lower case, no stop. `fix`: imperative.
    pub fn error(
        &mut self,
        field: FieldPath,
        reason: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(Problem::error(self.object.clone(), field, reason, message).fix(fix));
    }

    /// Served, but not all of it.
    pub fn warning(
        &mut self,
        field: FieldPath,
        reason: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(Problem::warning(self.object.clone(), field, reason, message).fix(fix));
    }

    /// The field is present, understood, and not supported: a warning that names it.
    pub fn unsupported(&mut self, field: FieldPath, fix: &str) {
        self.warning(field, "Unsupported", "not supported yet, and without effect", fix);
    }

    fn push(&mut self, problem: Problem) {
        self.problems.push(Problem { origin: self.origin.clone(), ..problem });
    }

    /// Asks of each error so far whether a part of the object bears it, so that the rest can be served. Nothing is asked of an object
    /// that nobody stored.
    pub(crate) fn bear(&mut self, mut bears: impl FnMut(&Problem) -> bool) {
        if self.stored {
            self.borne.extend(self.problems.extract_if(.., |problem| problem.is_error() && bears(problem)));
        }
    }

    /// How many problems cost, or warn of, the whole object so far.
    pub(crate) fn len(&self) -> usize {
        self.problems.len()
    }

    /// Forgets those that were found since there were so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.problems.truncate(len);
    }

    /// True where the object cannot be served at all.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// The problems, in the order in which they were found; those that cost a part only are the first.
    pub fn into_problems(self) -> Vec<Problem> {
        let Self { problems, mut borne, .. } = self;
        if borne.is_empty() {
            return problems;
        }
        borne.extend(problems);
        borne
    }
}
