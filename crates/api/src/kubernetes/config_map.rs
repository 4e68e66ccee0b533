//! ConfigMap: read for CA certificates.

use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// A ConfigMap's texts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// By key; `ca.crt` holds certificates.
    pub data: BTreeMap<Arc<str>, Arc<str>>,
}

impl Spec for ConfigMap {
    const FLAT: bool = true;
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
