//! ReferenceGrant: consent to be referred to from another namespace.

use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::sync::Arc;

/// `ReferenceGrantSpec`: objects `from` elsewhere may refer to objects `to` here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReferenceGrant {
    /// Any of these may refer.
    pub from: Vec<GrantFrom>,
    /// To any of these.
    pub to: Vec<GrantTo>,
}

/// `ReferenceGrantFrom`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrantFrom {
    /// The referrer's group.
    pub group: Arc<str>,
    /// The referrer's kind.
    pub kind: Arc<str>,
    /// The referrer's namespace.
    pub namespace: Arc<str>,
}

/// `ReferenceGrantTo`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrantTo {
    /// The target's group; empty for Kubernetes' core group.
    pub group: Arc<str>,
    /// The target's kind.
    pub kind: Arc<str>,
    /// One object; all of the kind where absent.
    pub name: Option<Arc<str>>,
}

impl Spec for ReferenceGrant {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}

impl ReferenceGrant {
    /// True where this grant lets `from` refer to the object `to` of the grant's own namespace.
    pub fn permits(&self, from: (&str, &str, &str), to: (&str, &str, &str)) -> bool {
        let (group, kind, namespace) = from;
        self.from.iter().any(|f| (&*f.group, &*f.kind, &*f.namespace) == (group, kind, namespace))
            && self
                .to
                .iter()
                .any(|t| (&*t.group, &*t.kind) == (to.0, to.1) && t.name.as_deref().is_none_or(|n| n == to.2))
    }
}
