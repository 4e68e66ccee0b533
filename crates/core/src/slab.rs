//! Values under small numbers, in pages, each of which goes with what was in it.

use std::{
    collections::BTreeSet,
    ops::{Index, IndexMut},
};

/// The values of a page. A power of two, so that a number is split by shifting.
const PAGE: u32 = 64;

/// Values, each under a number that it keeps while it is there. Numbers of what was removed are used again, the lower ones first as a rule.
///
/// A slab in one piece would double as it grows, and hold all of its room for as long as one value is left at its end. This one grows by a
/// page and gives back each that is empty.
#[derive(Debug)]
pub struct Slab<T> {
    pages: Vec<slab::Slab<T>>,
    /// The pages that have room. What comes goes to the first, so that the last ones empty in time.
    open: BTreeSet<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: BTreeSet::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Puts a value in. Returns its number.
    ///
    /// # Panics
    ///
    /// Where there are 2^32 values already.
    #[expect(clippy::cast_possible_truncation)] // numbers in a page are less than PAGE
    pub fn insert(&mut self, value: T) -> u32 {
        let at = self.open.first().copied().unwrap_or_else(|| self.add_page());
        let page = &mut self.pages[at as usize];
        let within = page.insert(value) as u32;
        if page.len() == PAGE as usize {
            self.open.remove(&at);
        }
        self.len += 1;
        at * PAGE + within
    }

    /// Takes out what has the number, if anything has.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let at = number / PAGE;
        let page = self.pages.get_mut(at as usize)?;
        let value = page.try_remove((number % PAGE) as usize)?;
        self.len -= 1;
        if page.is_empty() {
            *page = slab::Slab::new();
        }
        self.open.insert(at);
        self.drop_last_pages();
        Some(value)
    }

    /// Takes out what has the number where this holds of it.
    pub fn remove_if(&mut self, number: u32, holds: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.get(number).is_some_and(holds) { self.remove(number) } else { None }
    }

    /// What has the number, if anything has.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.pages.get((number / PAGE) as usize)?.get((number % PAGE) as usize)
    }

    /// What has the number, if anything has, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.pages.get_mut((number / PAGE) as usize)?.get_mut((number % PAGE) as usize)
    }

    /// All values, by number.
    #[expect(clippy::cast_possible_truncation)] // as in `insert`
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let pages = self.pages.iter().zip(0_u32..);
        pages.flat_map(|(page, at)| page.iter().map(move |(within, value)| (at * PAGE + within as u32, value)))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn add_page(&mut self) -> u32 {
        let at =
            u32::try_from(self.pages.len()).ok().filter(|at| *at < u32::MAX / PAGE).expect("fewer than 2^32 values");
        self.pages.push(slab::Slab::new());
        self.open.insert(at);
        at
    }

    fn drop_last_pages(&mut self) {
        let before = self.pages.len();
        while self.pages.pop_if(|page| page.is_empty()).is_some() {}
        if self.pages.len() < before {
            let len = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
            self.open.split_off(&len);
            crate::trim::trim_vec(&mut self.pages);
        }
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    /// # Panics
    ///
    /// Where nothing has the number.
    fn index(&self, number: u32) -> &T {
        &self.pages[(number / PAGE) as usize][(number % PAGE) as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    /// # Panics
    ///
    /// Where nothing has the number.
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[(number / PAGE) as usize][(number % PAGE) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: u32) -> Slab<u32> {
        let mut slab = Slab::default();
        assert!((0..numbers).all(|n| slab.insert(n) == n), "numbers are dense");
        slab
    }

    #[test]
    fn whatever_stays_keeps_its_number_and_the_rest_of_the_room_goes() {
        let mut slab = of(10_000);
        let stays = |n: &u32| n.is_multiple_of(5_000) || *n == 9_999;
        let removed = (0..10_000).filter(|n| !stays(n)).filter_map(|n| slab.remove(n)).count();
        assert_eq!((removed, slab.len()), (9_997, 3));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &0), (5_000, &5_000), (9_999, &9_999)]);
        let room: usize = slab.pages.iter().map(slab::Slab::capacity).sum();
        assert!(room <= 3 * PAGE as usize, "{room}");
    }

    #[test]
    fn the_pages_behind_the_last_value_go() {
        let mut slab = of(10_000);
        (10..10_000).for_each(|n| assert_eq!(slab.remove(n), Some(n)));
        assert_eq!((slab.pages.len(), slab.open.len()), (1, 1));
        assert!(slab.pages.capacity() < 8, "{}", slab.pages.capacity());
    }

    #[test]
    fn numbers_are_used_again_the_lower_pages_first() {
        let mut slab = of(10 * PAGE);
        let gone = [5 * PAGE, 2 * PAGE + 7, 9 * PAGE];
        gone.iter().for_each(|n| _ = slab.remove(*n));
        let again: Vec<u32> = gone.iter().map(|_| slab.insert(0)).collect();
        assert_eq!(again, [2 * PAGE + 7, 5 * PAGE, 9 * PAGE]);
        assert_eq!(slab.insert(0), 10 * PAGE);
    }

    #[test]
    fn nothing_is_there_under_a_number_that_nothing_has() {
        let mut slab = of(3);
        assert!(slab.get(3).is_none() && slab.get_mut(PAGE).is_none() && slab.remove(u32::MAX).is_none());
        assert_eq!((slab.remove(1), slab.remove(1)), (Some(1), None));
        assert!(slab.get(1).is_none());
        assert_eq!((slab.remove_if(0, |n| *n > 0), slab.remove_if(0, |n| *n == 0)), (None, Some(0)));
        assert_eq!((slab.remove(0), slab.remove(2), slab.is_empty()), (None, Some(2), true));
        assert_eq!((slab.pages.len(), slab.insert(7)), (0, 0));
    }
}
