//! The index: a current snapshot, and the keys that each edit changes.

use crate::{
    entry::{Entry, entries},
    keys::Keys,
};
use smallvec::SmallVec;
use std::{collections::HashMap, sync::Arc};
use tombolo_api::{AnyObject, Kinded, Object, ObjectKey};
use tombolo_core::{SourceId, trim};

/// Something that can be looked up in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// One object.
    Object(ObjectKey),
    /// The set of objects under an index entry: who is in it, not what they are.
    Entry(Entry),
}

/// The keys whose lookup gives something else after an edit.
pub type Changes = SmallVec<[Key; 4]>;

/// All inputs, kept current by edits.
#[derive(Default)]
pub struct Index {
    current: Snapshot,
}

/// All inputs at one moment. A clone costs as much as there is: readers borrow.
#[derive(Clone, Default)]
pub struct Snapshot {
    objects: HashMap<ObjectKey, AnyObject>,
    entries: HashMap<Entry, Keys>,
}

impl Index {
    /// Adds an object, or replaces it. Returns what changed: nothing where its content is the same.
    pub fn apply(&mut self, source: SourceId, object: AnyObject) -> Changes {
        let key = object.key(source);
        let new = entries(&key, &object);
        if self.current.objects.get(&key) == Some(&object) {
            return Changes::new();
        }
        let old = self.current.objects.insert(key.clone(), object);
        let old = old.map(|old| entries(&key, &old)).unwrap_or_default();
        self.reindex(key, &old, &new)
    }

    /// Removes an object. Returns what changed: nothing where there was none.
    pub fn delete(&mut self, key: &ObjectKey) -> Changes {
        let Some(old) = self.current.objects.remove(key) else { return Changes::new() };
        trim(&mut self.current.objects);
        self.reindex(key.clone(), &entries(key, &old), &[])
    }

    /// All inputs as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.current.clone()
    }

    /// All inputs as they are now, without keeping them.
    pub fn current(&self) -> &Snapshot {
        &self.current
    }

    fn reindex(&mut self, key: ObjectKey, old: &[Entry], new: &[Entry]) -> Changes {
        let mut changes = Changes::new();
        for gone in old.iter().filter(|e| !new.contains(e)) {
            if let Some(set) = self.current.entries.get_mut(gone) {
                set.remove(&key);
                if set.is_empty() {
                    self.current.entries.remove(gone);
                    trim(&mut self.current.entries);
                }
            }
            changes.push(Key::Entry(gone.clone()));
        }
        for added in new.iter().filter(|e| !old.contains(e)) {
            self.current.entries.entry(added.clone()).or_default().insert(key.clone());
            changes.push(Key::Entry(added.clone()));
        }
        changes.push(Key::Object(key));
        changes
    }
}

impl Snapshot {
    /// An object of any kind.
    pub fn object(&self, key: &ObjectKey) -> Option<&AnyObject> {
        self.objects.get(key)
    }

    /// An object of a known kind.
    pub fn get<S: Kinded>(&self, key: &ObjectKey) -> Option<&Arc<Object<S>>> {
        self.objects.get(key).and_then(S::cast)
    }

    /// The objects under an entry, ordered by key.
    pub fn entry(&self, entry: &Entry) -> Keys {
        self.entries.get(entry).cloned().unwrap_or_default()
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// Every object with its key, in no order.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, &AnyObject)> {
        self.objects.iter()
    }

    /// Every index entry under which there is something, in no order.
    pub fn all_entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.keys().cloned()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// True without any object.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}
