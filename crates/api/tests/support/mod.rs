//! Good manifests, changed in one place, and what becomes of them.
#![allow(dead_code, unreachable_pub)] // each test program uses a part
#![allow(clippy::panic)] // it is how a test fails

use serde_json::Value;
use tombolo_api::{
    AnyObject,
    manifest::{Decoded, decode},
};
use tombolo_core::Severity;

/// A change to a good manifest (a merge patch, in YAML), and the one problem that it makes.
pub type Case = (&'static str, &'static str, &'static str);

/// Reads YAML.
pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// `good` with `patch` merged in: mappings are merged, `null` removes, all else is replaced.
pub fn patched(good: &str, patch: &str) -> Value {
    let mut value = yaml(good);
    merge(&mut value, yaml(patch));
    value
}

fn merge(target: &mut Value, patch: Value) {
    let (Value::Object(target), Value::Object(patch)) = (&mut *target, &patch) else {
        *target = patch;
        return;
    };
    for (key, change) in patch.clone() {
        match target.get_mut(&key) {
            _ if change.is_null() => drop(target.remove(&key)),
            Some(old) => merge(old, change),
            None => drop(target.insert(key, change)),
        }
    }
}

/// The object, where nothing is wrong with it; else panics with the problems.
pub fn accepted(document: &Value) -> AnyObject {
    let Decoded { object, problems, .. } = decode(document.clone(), None);
    assert!(problems.is_empty(), "{problems:#?}\nof {document:#}");
    object.expect("an object without problems")
}

/// Checks that each change makes an error at the field, for the reason, and that the error names a fix.
pub fn refuses(good: &str, cases: &[Case]) {
    accepted(&yaml(good));
    cases.iter().for_each(|case| expect(good, *case, Severity::Error));
}

/// Checks that each change makes a warning at the field, for the reason, and leaves the object served.
pub fn warns(good: &str, cases: &[Case]) {
    accepted(&yaml(good));
    cases.iter().for_each(|case| expect(good, *case, Severity::Warning));
}

/// Checks that each change makes no problem.
pub fn accepts(good: &str, patches: &[&str]) {
    patches.iter().for_each(|patch| drop(accepted(&patched(good, patch))));
}

fn expect(good: &str, (patch, field, reason): Case, severity: Severity) {
    let decoded = decode(patched(good, patch), None);
    // A field that is missing is reported at what lacks it.
    let at = |path: &str| path.trim_end_matches('.') == field;
    let problem = decoded.problems.iter().find(|p| at(p.field.as_str()) && p.reason == reason);
    let Some(problem) = problem else { panic!("{patch}: no {reason} at {field} in {:#?}", decoded.problems) };
    assert_eq!(problem.severity, severity, "{patch}: {problem}");
    assert!(!problem.message.is_empty() && !problem.fix.is_empty(), "{patch}: {problem}");
    assert_eq!(decoded.object.is_none(), severity == Severity::Error, "{patch}: {:#?}", decoded.problems);
}
