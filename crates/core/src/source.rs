//! Where objects come from.

use std::{
    cmp::Ordering,
    fmt,
    sync::{PoisonError, RwLock},
};

/// Where an object came from: a cluster's id or a directory. Part of every object's key, so that several clusters are one registry.
///
/// It is a number for its text. Keys are what most memory goes to, and a process has a few sources, each for as long as it runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(u32);

/// The texts by number.
static TEXTS: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

impl SourceId {
    /// An id; any text that is stable across restarts. It is never forgotten.
    pub fn new(id: impl AsRef<str>) -> Self {
        let id = id.as_ref();
        let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
        let number = texts.iter().position(|text| *text == id).unwrap_or_else(|| {
            texts.push(Box::leak(id.into()));
            texts.len() - 1
        });
        #[expect(clippy::cast_possible_truncation)] // 2^32 texts do not fit in memory
        Self(number as u32)
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        TEXTS.read().unwrap_or_else(PoisonError::into_inner)[self.0 as usize]
    }
}

impl Ord for SourceId {
    /// By text: numbers differ from process to process.
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 { Ordering::Equal } else { self.as_str().cmp(other.as_str()) }
    }
}

impl PartialOrd for SourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceId({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_source_and_sources_are_in_the_order_of_their_texts() {
        let [z, a, again] = ["test/z", "test/a", "test/z"].map(SourceId::new);
        assert_eq!((z, z.as_str(), a.as_str()), (again, "test/z", "test/a"));
        assert!(a < z && z.cmp(&again) == Ordering::Equal);
        assert_eq!(format!("{a} {a:?}"), r#"test/a SourceId("test/a")"#);
    }
}
