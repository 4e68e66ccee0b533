//! The edge of text, tried with what people and machines get wrong.

mod fields;
mod files;
mod garbage;
mod stored;

use super::{Decoded, FileContent, read};
use tombolo_core::Severity;

/// A good object of a kind whose fields stand under `spec`.
const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {value: /a}}]
    backendRefs: [{name: web, port: 80}]
";

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";

fn file(text: impl AsRef<[u8]>) -> FileContent {
    read(text.as_ref(), "f.yaml")
}

/// The one document of a text.
fn one(text: impl AsRef<[u8]>) -> Decoded {
    let content = file(text);
    assert_eq!(content.problems, []);
    let [decoded] = <[Decoded; 1]>::try_from(content.decoded).unwrap();
    decoded
}

/// `severity field reason: message; fix` of each problem.
fn told(decoded: &Decoded) -> Vec<String> {
    let severity = |s| if s == Severity::Error { "error" } else { "warning" };
    let tell = |p: &tombolo_core::Problem| {
        format!("{} {} {}: {}; {}", severity(p.severity), p.field, p.reason, p.message, p.fix)
    };
    decoded.problems.iter().map(tell).collect()
}
