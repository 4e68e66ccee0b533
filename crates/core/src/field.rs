//! Where in an object a value stands.

use std::fmt;

/// A path to a field, printed as Kubernetes prints it: `spec.rules[0].backendRefs[1].port`.
///
/// Cheap to extend at the edge of parsing; never built on the hot path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(String);

impl FieldPath {
    /// The object itself: an empty path.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path with `name` below it. Names that would be ambiguous (dots, brackets) are quoted: `labels["app.kubernetes.io/name"]`.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*'));
        match (plain, self.0.is_empty()) {
            (true, true) => Self(name.to_owned()),
            (true, false) => Self(format!("{}.{name}", self.0)),
            (false, _) => Self(format!("{}[{name:?}]", self.0)),
        }
    }

    /// This path with element `i` below it.
    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }

    /// This path followed by another, already printed, path.
    #[must_use]
    pub fn join(&self, rest: &str) -> Self {
        match (self.0.is_empty(), rest.is_empty(), rest.starts_with('[')) {
            (_, true, _) => self.clone(),
            (true, ..) => Self(rest.to_owned()),
            (_, _, true) => Self(format!("{}{rest}", self.0)),
            _ => Self(format!("{}.{rest}", self.0)),
        }
    }

    /// True for the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The printed path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FieldPath {
    fn from(path: &str) -> Self {
        Self(path.to_owned())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_kubernetes_prints_them() {
        let path = FieldPath::root().key("spec").key("rules").index(0).key("labels").key("app.kubernetes.io/name");
        assert_eq!(path.as_str(), r#"spec.rules[0].labels["app.kubernetes.io/name"]"#);
        assert_eq!(FieldPath::from("spec").join("[1].port").as_str(), "spec[1].port");
        assert_eq!(FieldPath::root().join("spec.x").as_str(), "spec.x");
    }
}
