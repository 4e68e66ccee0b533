//! What is under an index entry.

use imbl::OrdSet;
use std::sync::Arc;
use tombolo_api::ObjectKey;

/// A set of keys, in order; a clone costs the same whatever the size.
///
/// Nearly all have one or two members, and a tree's leaf has room for sixteen.
#[derive(Clone, Debug)]
pub struct Keys(Set);

#[derive(Clone, Debug)]
enum Set {
    /// In order, each once.
    Few(Arc<[ObjectKey]>),
    Many(OrdSet<ObjectKey>),
}

/// More are a tree, until half of that are left.
const FEW: usize = 8;

impl Keys {
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &ObjectKey> {
        let (few, many) = match &self.0 {
            Set::Few(few) => (&**few, None),
            Set::Many(many) => (&[][..], Some(many)),
        };
        few.iter().chain(many.into_iter().flatten())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Set::Few(few) => few.len(),
            Set::Many(many) => many.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one, if it is not there.
    pub(crate) fn insert(&mut self, key: ObjectKey) {
        match &mut self.0 {
            Set::Few(few) => {
                let Err(at) = few.binary_search(&key) else { return };
                let (before, after) = few.split_at(at);
                let all = before.iter().cloned().chain([key]).chain(after.iter().cloned());
                self.0 = if few.len() < FEW { Set::Few(all.collect()) } else { Set::Many(all.collect()) };
            }
            Set::Many(many) => _ = many.insert(key),
        }
    }

    /// Takes one out, if it is there.
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        match &mut self.0 {
            Set::Few(few) => {
                if few.binary_search(key).is_ok() {
                    self.0 = Set::Few(few.iter().filter(|known| *known != key).cloned().collect());
                }
            }
            Set::Many(many) => {
                many.remove(key);
                if many.len() <= FEW / 2 {
                    self.0 = Set::Few(many.iter().cloned().collect());
                }
            }
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self(Set::Few(Arc::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeSet;
    use tombolo_api::Kind;
    use tombolo_core::{NamespacedName, SourceId};

    fn key(number: u8) -> ObjectKey {
        let name = NamespacedName::new("shop", format!("n{number:02}"));
        ObjectKey { source: SourceId::new("here"), kind: Kind::Service, name }
    }

    proptest! {
        #[test]
        fn it_is_a_set_in_order_whatever_comes_and_goes(edits in vec((any::<bool>(), 0..20_u8), 0..100)) {
            let (mut keys, mut model) = (Keys::default(), BTreeSet::new());
            for (add, number) in edits {
                let (before, was) = (keys.clone(), model.clone());
                if add {
                    keys.insert(key(number));
                    model.insert(key(number));
                } else {
                    keys.remove(&key(number));
                    model.remove(&key(number));
                }
                prop_assert!(keys.iter().eq(&model), "{keys:?}");
                prop_assert_eq!((keys.len(), keys.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(before.iter().eq(&was), "a clone stays as it was");
            }
        }
    }
}
