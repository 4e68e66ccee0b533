//! Labels and annotations of objects.

use serde::{Deserialize, Deserializer};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

/// Labels or annotations: few, ordered, shared. Every object has them, so they take no more room than their texts and a word or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// Most objects have none of one or the other: those share it.
static NONE: LazyLock<Labels> = LazyLock::new(|| Labels(Arc::new([])));

impl Labels {
    /// A label's value.
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// All, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl Default for Labels {
    fn default() -> Self {
        NONE.clone()
    }
}

impl From<BTreeMap<Arc<str>, Arc<str>>> for Labels {
    fn from(labels: BTreeMap<Arc<str>, Arc<str>>) -> Self {
        if labels.is_empty() { Self::default() } else { Self(labels.into_iter().collect()) }
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(d).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let labels: Labels = serde_json::from_str(r#"{"c": "3", "a": "1", "b": ""}"#).unwrap();
        assert_eq!(["a", "b", "c"].map(|key| labels.get(key).map(|value| &**value)), [Some("1"), Some(""), Some("3")]);
        assert_eq!((labels.get(""), labels.get("d")), (None, None));
        assert_eq!(labels.iter().map(|(key, _)| &**key).collect::<String>(), "abc");
        assert_eq!(serde_json::from_str::<Labels>("{}").unwrap(), Labels::default());
    }
}
