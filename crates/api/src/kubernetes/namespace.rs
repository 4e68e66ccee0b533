//! Namespace: read for its labels only.

use super::unread::drop_unread;
use crate::{Object, Report, Spec};
use serde::Deserialize;

/// A Namespace; what matters are its metadata's labels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(remote = "Self")]
pub struct Namespace {}

drop_unread! { Namespace: "spec" }

impl Spec for Namespace {
    const FLAT: bool = true;
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
