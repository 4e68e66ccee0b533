//! Consent to be referred to from another namespace.

use crate::engine::View;
use std::sync::Arc;
use tombolo_api::{
    Kind, ObjectKey,
    gateway::{GROUP, ReferenceGrant},
};
use tombolo_registry::Entry;

/// A reference's target.
pub(super) struct Target<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a Arc<str>,
    pub(super) name: &'a str,
}

/// True where `from` may refer to the target: within its namespace always, else where a ReferenceGrant there says so.
pub(super) fn permitted(view: &View<'_>, from: &ObjectKey, target: &Target<'_>) -> bool {
    if from.name.namespace == *target.namespace {
        return true;
    }
    debug_assert!(matches!(from.kind, Kind::Gateway | Kind::HttpRoute));
    view.entry(Entry::Grants(from.source, target.namespace.clone()))
        .iter()
        .filter_map(|key| view.object::<ReferenceGrant>(key))
        .any(|grant| {
            let from = (GROUP, from.kind.name(), &*from.name.namespace);
            grant.permits(from, (target.group, target.kind, target.name))
        })
}
