//! One client's resources of one type: what it holds, what it wants, and what it has asked for.

use super::catalog::{ContentId, NameId};

/// Eight bytes for each name: a thousand clients have one for each name of each type.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    held: Option<ContentId>,
    /// How many of the client's own resources name it.
    wanted: u16,
    subscribed: bool,
    /// Content or removal has come since it was asked for, or since what names it was last changed.
    answered: bool,
}

/// What there is to ask for and to ask for no longer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) subscribe: Vec<NameId>,
    pub(super) unsubscribe: Vec<NameId>,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.subscribe.is_empty() && self.unsubscribe.is_empty()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    touched: Vec<NameId>,
    missing: usize,
}

impl Table {
    fn slot(&mut self, name: NameId) -> &mut Slot {
        if self.slots.len() <= name.index() {
            self.slots.resize(name.index() + 1, Slot::default());
        }
        &mut self.slots[name.index()]
    }

    /// Holds a content, or no longer any. Returns what was held before.
    pub(super) fn hold(&mut self, name: NameId, content: Option<ContentId>) -> Option<ContentId> {
        std::mem::replace(&mut self.slot(name).held, content)
    }

    /// One more of the client's resources names it.
    pub(super) fn want(&mut self, name: NameId) {
        let slot = self.slot(name);
        slot.wanted = slot.wanted.saturating_add(1);
        self.touched.push(name);
    }

    /// One less of the client's resources names it.
    pub(super) fn unwant(&mut self, name: NameId) {
        let slot = self.slot(name);
        slot.wanted = slot.wanted.saturating_sub(1);
        self.touched.push(name);
    }

    /// True where the name was asked for, and not given up since.
    pub(super) fn is_subscribed(&self, name: NameId) -> bool {
        self.slots.get(name.index()).is_some_and(|slot| slot.subscribed)
    }

    /// Content or removal of a name that was asked for has come.
    pub(super) fn answer(&mut self, name: NameId) {
        let slot = self.slot(name);
        let news = slot.subscribed && !std::mem::replace(&mut slot.answered, true);
        self.missing -= usize::from(news);
    }

    /// A name that was asked for must come once more: what names it has changed.
    pub(super) fn expect_again(&mut self, name: NameId) {
        let slot = self.slot(name);
        let news = slot.subscribed && std::mem::replace(&mut slot.answered, false);
        self.missing += usize::from(news);
    }

    /// Brings what is asked for in line with what is wanted, and says how they differed.
    pub(super) fn settle(&mut self) -> Difference {
        let mut difference = Difference::default();
        for name in std::mem::take(&mut self.touched) {
            let slot = &mut self.slots[name.index()];
            match (slot.subscribed, slot.wanted > 0) {
                (false, true) => {
                    (slot.subscribed, slot.answered) = (true, false);
                    self.missing += 1;
                    difference.subscribe.push(name);
                }
                (true, false) => {
                    self.missing -= usize::from(!slot.answered);
                    *slot = Slot::default();
                    difference.unsubscribe.push(name);
                }
                _ => {}
            }
        }
        difference
    }

    /// How many names were asked for and have not come.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// The first name that was asked for and has not come.
    pub(super) fn first_missing(&self) -> Option<NameId> {
        self.slots.iter().position(|slot| slot.subscribed && !slot.answered).map(NameId::from_index)
    }

    /// Every name that was asked for.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = NameId> {
        let subscribed = self.slots.iter().enumerate().filter(|(_, slot)| slot.subscribed);
        subscribed.map(|(nth, _)| NameId::from_index(nth))
    }

    /// Everything held.
    pub(super) fn held(&self) -> impl Iterator<Item = (NameId, ContentId)> {
        self.slots.iter().enumerate().filter_map(|(nth, slot)| Some((NameId::from_index(nth), slot.held?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: usize = 6;

    proptest! {
        /// The counter and the differences, kept step by step, are those of a count from scratch.
        #[test]
        fn what_is_kept_by_difference_is_what_a_count_finds(steps in prop::collection::vec((0..5, 0..NAMES), 0..200)) {
            let (mut table, mut wanted, mut asked) = (Table::default(), [0_u16; NAMES], [false; NAMES]);
            for (step, nth) in steps {
                let name = NameId::from_index(nth);
                match step {
                    0 => { table.want(name); wanted[nth] += 1; }
                    1 if wanted[nth] > 0 => { table.unwant(name); wanted[nth] -= 1; }
                    2 => table.answer(name),
                    3 => table.expect_again(name),
                    4 => {
                        let Difference { subscribe, unsubscribe } = table.settle();
                        for id in subscribe { prop_assert!(!std::mem::replace(&mut asked[id.index()], true)); }
                        for id in unsubscribe { prop_assert!(std::mem::replace(&mut asked[id.index()], false)); }
                        prop_assert_eq!(asked, wanted.map(|n| n > 0));
                    }
                    _ => {}
                }
                let missing = table.slots.iter().filter(|s| s.subscribed && !s.answered).count();
                prop_assert_eq!(table.missing(), missing);
                prop_assert_eq!(table.first_missing().is_some(), missing > 0);
            }
        }
    }

    #[test]
    fn a_slot_is_eight_bytes() {
        assert_eq!(size_of::<Slot>(), 8);
    }
}
