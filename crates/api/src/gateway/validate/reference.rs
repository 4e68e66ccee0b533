//! References: syntax of their parts, ports of Services, and which parents may be named twice.

use super::{keeps, section_name};
use crate::{
    Report,
    gateway::{BackendRef, LocalRef, ObjectReference, ParametersRef, ParentRef},
    syntax,
};
use std::collections::{HashMap, HashSet};
use tombolo_core::FieldPath;

/// The highest weight.
const MOST_WEIGHT: u32 = 1_000_000;

/// The parts of any reference.
pub(in crate::gateway) fn object(
    (group, kind): (&str, &str),
    name: Option<&str>,
    namespace: Option<&str>,
    at: &FieldPath,
    report: &mut Report,
) {
    keeps(syntax::group(group), "group", || at.key("group"), report);
    keeps(syntax::kind(kind), "kind", || at.key("kind"), report);
    keeps(name.and_then(syntax::object_name), "name", || at.key("name"), report);
    keeps(namespace.and_then(syntax::dns_label), "namespace", || at.key("namespace"), report);
}

pub(in crate::gateway) fn parameters(r: &ParametersRef, at: &FieldPath, report: &mut Report) {
    object((&r.group, &r.kind), Some(&r.name), r.namespace.as_deref(), at, report);
}

pub(super) fn local(r: &LocalRef, at: &FieldPath, report: &mut Report) {
    object((&r.group, &r.kind), Some(&r.name), None, at, report);
}

pub(super) fn secret(r: &ObjectReference, at: &FieldPath, report: &mut Report) {
    object((&r.group, &r.kind), Some(&r.name), r.namespace.as_deref(), at, report);
}

pub(super) fn backend(r: &BackendRef, at: &FieldPath, report: &mut Report) {
    object((&r.group, &r.kind), Some(&r.name), r.namespace.as_deref(), at, report);
    if r.group.is_empty() && &*r.kind == "Service" && r.port.is_none() {
        let fix = "add the Service's port";
        report.error(at.key("port"), "Required", "a reference to a Service needs a port", fix);
    }
    if r.weight > MOST_WEIGHT {
        let message = format!("{} is out of range", r.weight);
        report.error(at.key("weight"), "OutOfRange", message, format!("use a number from 0 to {MOST_WEIGHT}"));
    }
}

/// Parents of a route. One that is named several times must be told apart each time, in the same way: by `sectionName`, by
/// `port`, or by both.
pub(super) fn parents(refs: &[ParentRef], at: &FieldPath, report: &mut Report) {
    let mut told_apart = HashMap::new();
    let mut seen = HashSet::new();
    for (i, r) in refs.iter().enumerate() {
        let at = at.index(i);
        object((&r.group, &r.kind), Some(&r.name), r.namespace.as_deref(), &at, report);
        if let Some(name) = &r.section_name {
            section_name(name, at.key("sectionName"), report);
        }
        let parent = (&r.group, &r.kind, &r.namespace, &r.name);
        let how = (r.section_name.is_some(), r.port.is_some());
        let fix = "give each a sectionName or a port of its own";
        if !seen.insert(r) {
            let message = format!("{} {} is named twice in the same way", r.kind, r.name);
            report.error(at, "Duplicate", message, fix);
        } else if *told_apart.entry(parent).or_insert(how) != how {
            let message = format!("{} {} is named twice, told apart in different ways", r.kind, r.name);
            report.error(at, "Duplicate", message, fix);
        }
    }
}
