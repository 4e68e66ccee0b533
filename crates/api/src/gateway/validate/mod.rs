//! What the Gateway API's CRDs (v1.6.3) refuse and the types cannot: lengths, counts, patterns, CEL rules. And a warning for
//! each field that is understood and not supported yet.

mod filter;
mod frontend;
mod gateway;
mod http_route;
mod matching;
mod reference;
mod regex;

#[cfg(test)]
mod tests;

pub(super) use gateway::gateway;
pub(super) use http_route::http_route;
pub(super) use reference::{object, parameters};

use crate::{
    Report,
    syntax::{self, Broken},
};
use std::{collections::HashSet, hash::Hash, sync::Arc};
use tombolo_core::FieldPath;

/// The object's `spec`.
pub(super) fn spec() -> FieldPath {
    FieldPath::from("spec")
}

/// A text must keep to a syntax.
pub(super) fn keeps(broken: Option<Broken>, what: &str, at: impl FnOnce() -> FieldPath, report: &mut Report) {
    if let Some(rule) = broken {
        report.error(at(), "InvalidValue", format!("not a valid {what}"), rule);
    }
}

/// A list must not be longer than this. Returns the part that is within bounds: of a list of thousands, only that is checked.
pub(super) fn capped<'a, T>(list: &'a [T], most: usize, at: &FieldPath, report: &mut Report) -> &'a [T] {
    at_most(list.len(), most, at, report);
    &list[..list.len().min(most)]
}

/// There must not be more elements than this.
pub(super) fn at_most(count: usize, most: usize, at: &FieldPath, report: &mut Report) {
    if count > most {
        let message = format!("{count} elements; at most {most} are allowed");
        report.error(at.clone(), "TooMany", message, "remove some, or split the object");
    }
}

/// There must be at least one element.
pub(super) fn not_empty(count: usize, at: &FieldPath, report: &mut Report) {
    if count == 0 {
        report.error(at.clone(), "Required", "there must be at least one element", "add one");
    }
}

/// No two keys may be equal. `describe` names the key, `at` the field of the element at an index.
pub(super) fn unique<K: Hash + Eq>(
    keys: impl IntoIterator<Item = K>,
    describe: impl Fn(&K) -> String,
    at: impl Fn(usize) -> FieldPath,
    report: &mut Report,
) {
    let mut seen = HashSet::new();
    for (i, key) in keys.into_iter().enumerate() {
        if let Some(key) = seen.replace(key) {
            report.error(
                at(i),
                "Duplicate",
                format!("{} stands here twice", describe(&key)),
                "remove or change one of them",
            );
        }
    }
}

/// `SectionName`: the name of a listener or a rule.
fn section_name(name: &str, at: FieldPath, report: &mut Report) {
    keeps(syntax::dns_subdomain(name), "name", || at, report);
}

/// Names of headers compare without case: of two that differ in case alone, only the first counts.
fn warn_of_same_header<'a>(
    names: impl IntoIterator<Item = &'a Arc<str>>,
    at: impl Fn(usize) -> FieldPath,
    report: &mut Report,
) {
    let mut seen: HashSet<String> = HashSet::new();
    for (i, name) in names.into_iter().enumerate() {
        if !seen.insert(name.to_ascii_lowercase()) {
            let message = format!("header {name} stands here twice; only the first counts");
            report.warning(at(i), "Duplicate", message, "remove one of them");
        }
    }
}
