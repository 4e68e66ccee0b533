//! Tens of thousands of small records, end to end in one piece of memory.
//!
//! An agent runs beside every workload, so what it keeps of each name of a mesh is multiplied by their number. A record of its own
//! allocation costs its allocator's bookkeeping, a pointer and a length; and, worse, lies between what was allocated for a moment, whose
//! memory can then not be given back.

use hashbrown::HashTable;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// In front of each record: its length, and whether it counts.
const HEAD: usize = 4;
const DEAD: u32 = 1 << 31;
/// Less is not worth moving records for.
const MIN_GARBAGE: usize = 4 << 10;

/// Records that differ in their keys, which are a part of them. At most 4 GiB in all.
#[derive(Clone)]
pub(crate) struct PackedSet {
    /// A record's key.
    key: fn(&[u8]) -> &[u8],
    bytes: Vec<u8>,
    /// Where in `bytes` records begin.
    places: HashTable<u32>,
    hasher: RandomState,
    /// Bytes of records that do not count.
    garbage: usize,
}

impl PackedSet {
    /// Without records. `key` gives a record's key.
    pub(crate) fn new(key: fn(&[u8]) -> &[u8]) -> Self {
        Self { key, bytes: Vec::new(), places: HashTable::new(), hasher: RandomState::new(), garbage: 0 }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The record of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        Some(record(&self.bytes, self.find(key)?))
    }

    /// Every record, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| record(&self.bytes, *place))
    }

    /// Puts a record in the place of the one with its key. False where there is no room any more.
    pub(crate) fn insert(&mut self, new: &[u8]) -> bool {
        let key = (self.key)(new);
        if let Some(old) = self.find(key).and_then(|place| record_mut(&mut self.bytes, place))
            && old.len() == new.len()
        {
            old.copy_from_slice(new);
            return true;
        }
        self.remove(key);
        let Ok(place) = u32::try_from(self.bytes.len()) else { return false };
        let Some(head) = u32::try_from(new.len()).ok().filter(|len| len & DEAD == 0) else { return false };
        self.bytes.extend(head.to_le_bytes());
        self.bytes.extend_from_slice(new);
        let Self { key: key_of, bytes, places, hasher, .. } = self;
        places.insert_unique(hasher.hash_one(key), place, |place| hasher.hash_one(key_of(record(bytes, *place))));
        true
    }

    /// Takes the record of a key away. False where there is none.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let Self { key: key_of, bytes, places, hasher, .. } = self;
        let same = |place: &u32| key_of(record(bytes, *place)) == key;
        let Ok(entry) = places.find_entry(hasher.hash_one(key), same) else { return false };
        let (place, _) = entry.remove();
        let len = record(&self.bytes, place).len();
        if let Some(head) = self.bytes.get_mut(place as usize..).and_then(|rest| rest.first_chunk_mut()) {
            *head = (u32::from_le_bytes(*head) | DEAD).to_le_bytes();
        }
        self.garbage += HEAD + len;
        if self.garbage > MIN_GARBAGE.max((self.bytes.len() - self.garbage) / 2) {
            self.compact();
        }
        true
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let same = |place: &u32| (self.key)(record(&self.bytes, *place)) == key;
        self.places.find(self.hasher.hash_one(key), same).copied()
    }

    /// Moves what counts together.
    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.garbage);
        let mut places = HashTable::with_capacity(self.len());
        let hash = |bytes: &[u8], place| self.hasher.hash_one((self.key)(record(bytes, place)));
        for old in &self.places {
            let (record, place) = (record(&self.bytes, *old), bytes.len());
            bytes.extend(u32::try_from(record.len()).unwrap_or_default().to_le_bytes());
            bytes.extend_from_slice(record);
            // It was less before.
            let place = u32::try_from(place).unwrap_or_default();
            places.insert_unique(hash(&bytes, place), place, |place| hash(&bytes, *place));
        }
        (self.bytes, self.places, self.garbage) = (bytes, places, 0);
    }
}

fn record(bytes: &[u8], place: u32) -> &[u8] {
    let (head, rest) = bytes.get(place as usize..).and_then(<[u8]>::split_first_chunk).unwrap_or((&[0; HEAD], &[]));
    rest.get(..u32::from_le_bytes(*head) as usize).unwrap_or_default()
}

fn record_mut(bytes: &mut [u8], place: u32) -> Option<&mut [u8]> {
    let (head, rest) = bytes.get_mut(place as usize..)?.split_first_chunk_mut::<HEAD>()?;
    rest.get_mut(..u32::from_le_bytes(*head) as usize)
}

impl fmt::Debug for PackedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, garbage, .. } = self;
        write!(f, "PackedSet({} records, {} bytes, {garbage} garbage)", self.len(), bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The key is the first two bytes.
    fn set() -> PackedSet {
        PackedSet::new(|record| &record[..2])
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds_and_little_more(
            edits in prop::collection::vec((0..40_u8, prop::option::of(0..1000_usize)), 0..400),
        ) {
            let (mut set, mut map) = (set(), BTreeMap::new());
            for (key, len) in edits {
                let record: Vec<u8> = [key, 7].into_iter().chain((0..len.unwrap_or_default()).map(|n| n as u8)).collect();
                if len.is_some() {
                    prop_assert!(set.insert(&record));
                    map.insert(key, record);
                } else {
                    prop_assert_eq!(set.remove(&[key, 7]), map.remove(&key).is_some());
                }
                prop_assert_eq!(set.len(), map.len());
                prop_assert_eq!(set.get(&[key, 7]), map.get(&key).map(Vec::as_slice));
                let live: usize = map.values().map(|record| HEAD + record.len()).sum();
                prop_assert_eq!(set.bytes.len() - set.garbage, live);
                prop_assert!(set.garbage <= MIN_GARBAGE.max(live / 2));
            }
            let mut all: Vec<&[u8]> = set.iter().collect();
            all.sort_unstable();
            prop_assert_eq!(all, map.values().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_left_of_many_records() {
        let mut set = set();
        let records = || (0..10_000_u16).map(|n| [&n.to_be_bytes()[..], &[9; 40]].concat());
        records().for_each(|record| assert!(set.insert(&record)));
        records().for_each(|record| assert!(set.remove(&record[..2])));
        assert!(set.is_empty() && set.bytes.capacity() <= 2 * MIN_GARBAGE && set.places.capacity() < 1000);
    }
}
