//! Where the resources of one type stand in the log: one entry a name, of tens of thousands of names.

use super::Name;
use crate::{packed::PackedSet, stream::version::Version};

/// Offset and length.
const PLACE: usize = 12;
const HASH: u8 = 0;
const TEXT: u8 = 1;

/// Where a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Entries by name. Each is laid out as `offset | length | 0 hash` or `offset | length | 1 length text`, and then the name.
#[derive(Debug)]
pub(super) struct Index(PackedSet);

impl Default for Index {
    fn default() -> Self {
        Self(PackedSet::new(|record| split(record).map_or(&[], |(_, name)| name)))
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        Some(split(self.0.get(name.as_bytes())?)?.0)
    }

    /// Returns what was there.
    pub(super) fn remove(&mut self, name: &str) -> Option<Entry> {
        let old = self.get(name)?;
        self.0.remove(name.as_bytes());
        Some(old)
    }

    /// Returns what was there. What there is no room for is not held.
    pub(super) fn insert(&mut self, name: &str, entry: &Entry) -> Option<Entry> {
        let old = self.get(name);
        self.0.insert(&encode(name, entry));
        old
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Name, Entry)> {
        self.0.iter().filter_map(|record| {
            let (entry, name) = split(record)?;
            Some((str::from_utf8(name).ok()?.into(), entry))
        })
    }
}

fn encode(name: &str, Entry { version, offset, len }: &Entry) -> Vec<u8> {
    let mut record = Vec::with_capacity(PLACE + 17 + name.len());
    record.extend(offset.to_le_bytes());
    record.extend(len.to_le_bytes());
    match version {
        Version::Hash(hash) => {
            record.push(HASH);
            record.extend(hash.to_le_bytes());
        }
        Version::Text(text) => {
            record.push(TEXT);
            record.extend(u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
            record.extend(text.as_bytes());
        }
    }
    record.extend(name.as_bytes());
    record
}

/// An entry and its name.
fn split(record: &[u8]) -> Option<(Entry, &[u8])> {
    let (offset, rest) = record.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (tag, rest) = rest.split_first()?;
    let (version, name) = if *tag == HASH {
        let (hash, name) = rest.split_first_chunk()?;
        (Version::Hash(u128::from_le_bytes(*hash)), name)
    } else {
        let (len, rest) = rest.split_first_chunk()?;
        let (text, name) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        (Version::Text(str::from_utf8(text).ok()?.into()), name)
    };
    Some((Entry { version, offset: u64::from_le_bytes(*offset), len: u32::from_le_bytes(*len) }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_what_they_were() {
        let mut index = Index::default();
        let entry = |version: &str| Entry { version: Version::new(version), offset: u64::MAX - 1, len: 7 };
        for (name, version) in [("a", "00f0000000000000000000000000000a"), ("b", "v1"), ("", ""), ("\u{e4}", "1")] {
            assert_eq!(index.insert(name, &entry(version)), None);
            assert_eq!(index.get(name), Some(entry(version)));
        }
        assert_eq!(index.insert("b", &entry("v22")), Some(entry("v1")));
        assert_eq!(
            index.remove("a").map(|entry| entry.version),
            Some(entry("00f0000000000000000000000000000a").version)
        );
        assert_eq!(index.remove("a"), None);
        let mut all: Vec<_> = index.iter().map(|(name, entry)| (name.to_string(), entry)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let expected = [("", ""), ("b", "v22"), ("\u{e4}", "1")];
        assert_eq!(all, expected.map(|(name, version)| (name.to_owned(), entry(version))));
    }
}
