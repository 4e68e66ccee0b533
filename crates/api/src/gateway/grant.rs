//! ReferenceGrant: consent to be referred to from another namespace.

use super::validate;
use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::sync::Arc;

/// Of each list.
const MOST: usize = 16;

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
    fn validate(object: &Object<Self>, report: &mut Report) {
        let from = validate::spec().key("from");
        validate::not_empty(object.from.len(), &from, report);
        for (i, f) in validate::capped(&object.from, MOST, &from, report).iter().enumerate() {
            validate::object((&f.group, &f.kind), None, Some(&f.namespace), &from.index(i), report);
        }
        let to = validate::spec().key("to");
        validate::not_empty(object.to.len(), &to, report);
        for (i, t) in validate::capped(&object.to, MOST, &to, report).iter().enumerate() {
            validate::object((&t.group, &t.kind), t.name.as_deref(), None, &to.index(i), report);
        }
    }
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
