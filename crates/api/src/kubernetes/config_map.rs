//! ConfigMap: read for CA certificates.

use super::{check, unread::drop_unread};
use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::FieldPath;

/// A ConfigMap's texts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct ConfigMap {
    /// By key; `ca.crt` holds certificates.
    pub data: BTreeMap<Arc<str>, Arc<str>>,
}

drop_unread! { ConfigMap: "binaryData" "immutable" }

impl Spec for ConfigMap {
    const FLAT: bool = true;
    fn validate(object: &Object<Self>, report: &mut Report) {
        let sizes = object.data.iter().map(|(key, value)| (&**key, value.len()));
        check::data(report, &FieldPath::from("data"), sizes);
    }
}
