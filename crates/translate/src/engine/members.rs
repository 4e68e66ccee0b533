//! The members of a relation.

use super::Fact;
use std::collections::BTreeMap;

/// Facts in order, and how often each is stated. Most relations have one or two members, and a tree has room for eleven.
pub(super) enum Members {
    Few(Vec<(Fact, u32)>),
    #[allow(clippy::box_collection)] // there are thousands of few, and they are the smaller for it
    Many(Box<BTreeMap<Fact, u32>>),
}

/// More are a tree.
const FEW: usize = 8;

impl Members {
    /// One fact, stated once.
    pub(super) fn of(fact: Fact) -> Self {
        Self::Few(Vec::from([(fact, 1)]))
    }

    /// States a fact; true where it is new.
    pub(super) fn add(&mut self, fact: Fact) -> bool {
        match self {
            Self::Few(members) => match members.binary_search_by(|(known, _)| known.cmp(&fact)) {
                Ok(at) => {
                    members[at].1 += 1;
                    false
                }
                Err(at) if members.len() < FEW => {
                    members.reserve_exact(1);
                    members.insert(at, (fact, 1));
                    true
                }
                Err(_) => {
                    *self = Self::Many(Box::new(members.drain(..).chain([(fact, 1)]).collect()));
                    true
                }
            },
            Self::Many(members) => {
                let count = members.entry(fact).or_default();
                *count += 1;
                *count == 1
            }
        }
    }

    /// Takes back a fact, once; true where it holds no more. One that is not there is passed over.
    pub(super) fn remove(&mut self, fact: &Fact) -> bool {
        let Some(count) = self.count(fact) else { return false };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            match self {
                Self::Few(members) => members.retain(|(known, _)| known != fact),
                Self::Many(members) => drop(members.remove(fact)),
            }
        }
        gone
    }

    fn count(&mut self, fact: &Fact) -> Option<&mut u32> {
        match self {
            Self::Few(members) => members.iter_mut().find(|(known, _)| known == fact).map(|(_, count)| count),
            Self::Many(members) => members.get_mut(fact),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(members) => members.len(),
            Self::Many(members) => members.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fact> + use<'_> {
        let (few, many) = match self {
            Self::Few(members) => (Some(members), None),
            Self::Many(members) => (None, Some(members)),
        };
        few.into_iter().flatten().map(|(fact, _)| fact).chain(many.into_iter().flat_map(|members| members.keys()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_or_many_they_are_a_counted_set(steps in prop::collection::vec((any::<bool>(), 0u8..20), 1..200)) {
            let (mut members, mut model) = (Members::Few(Vec::new()), BTreeMap::<Fact, u32>::new());
            for (add, n) in steps {
                let fact = Fact::Bucket(n);
                if add {
                    let count = model.entry(fact.clone()).or_default();
                    *count += 1;
                    prop_assert_eq!(members.add(fact), *count == 1);
                } else {
                    let gone = model.get_mut(&fact).is_some_and(|count| { *count -= 1; *count == 0 });
                    if gone {
                        model.remove(&fact);
                    }
                    prop_assert_eq!(members.remove(&fact), gone);
                }
                prop_assert_eq!(members.iter().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
                prop_assert_eq!(members.is_empty(), model.is_empty());
            }
        }
    }
}
