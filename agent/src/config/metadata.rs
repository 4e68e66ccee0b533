//! What the control plane is told besides: from variables, by Istio's contract.

use super::ConfigError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) type Labels = BTreeMap<String, String>;

/// The labels, and all else that `ISTIO_META_*` and `ISTIO_METAJSON_*` say.
///
/// `ISTIO_META_X=y` is the text `y` under `X`. `ISTIO_METAJSON_X` is JSON: `LABELS` holds the labels, the members of another object
/// stand for themselves whatever the variable is called, as with Istio's agents, and any other value stands under `X`.
pub(super) fn metadata(variables: &BTreeMap<String, String>) -> Result<(Labels, Map<String, Value>), ConfigError> {
    let (mut labels, mut metadata) = (Labels::new(), Map::new());
    for (name, value) in variables {
        if let Some(key) = name.strip_prefix("ISTIO_META_").filter(|key| !key.is_empty()) {
            metadata.insert(key.to_owned(), value.clone().into());
        }
    }
    for (name, value) in variables {
        let Some(key) = name.strip_prefix("ISTIO_METAJSON_").filter(|key| !key.is_empty()) else { continue };
        let wrong = |reason: String| ConfigError::Value { field: name.clone(), reason };
        if key == "LABELS" {
            let read = serde_json::from_str(value);
            labels = read.map_err(|error| wrong(format!("not a JSON object of texts: {error}")))?;
            continue;
        }
        match serde_json::from_str(value).map_err(|error| wrong(format!("not JSON: {error}")))? {
            Value::Object(members) => metadata.extend(members),
            value => _ = metadata.insert(key.to_owned(), value),
        }
    }
    for (variable, label) in [
        ("CANONICAL_SERVICE", "service.istio.io/canonical-name"),
        ("CANONICAL_REVISION", "service.istio.io/canonical-revision"),
    ] {
        if let Some(value) = variables.get(variable) {
            labels.entry(label.to_owned()).or_insert_with(|| value.clone());
        }
    }
    Ok((labels, metadata))
}
