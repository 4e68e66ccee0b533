//! Room that goes with what it was for. A table keeps the room of all that was ever in it at once, for good.
//!
//! To be called where something is removed: that costs a constant each on average, as much must have gone before anything is moved, and
//! what stays has room to grow.

use slab::Slab;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// The room that a table of so many should have, at least: where it has twice as much or more, that is given back.
pub fn room(len: usize) -> usize {
    len + len / 2
}

/// Gives back most of the room that a map no longer needs.
pub fn trim<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    // Its size is a power of two: nothing happens before half would do. What it calls its capacity says less: removals leave marks.
    map.shrink_to(room(map.len()));
}

/// The removals from a slab since its room was last looked at.
#[derive(Debug, Default)]
pub struct Removals(usize);

impl Removals {
    /// Counts one, and gives back most of the room that the slab no longer needs. Whatever is in it stays where it is, so that is only what
    /// is behind the last. To look costs as much as there is room, and is done once for many removals.
    pub fn count<T>(&mut self, slab: &mut Slab<T>) {
        self.0 += 1;
        if self.0 < slab.capacity() / 8 {
            return;
        }
        self.0 = 0;
        if slab.capacity() / 2 >= room(slab.len()) {
            slab.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_large_is_small_again_and_seldom_moved() {
        let mut map: HashMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
        let (mut room, mut moves) = (map.capacity(), 0);
        for n in 10..10_000 {
            map.remove(&n);
            trim(&mut map);
            moves += u32::from(map.capacity() < room / 2);
            room = room.min(map.capacity());
        }
        assert!(room < 60, "{room}");
        assert!(moves < 12, "{moves}");
        assert!((0..10).all(|n| map.contains_key(&n)) && map.len() == 10);
    }

    /// So many are put in, those that `stays` says stay, from the last to the first or the other way round.
    fn after(stays: impl Fn(usize) -> bool, from_last: bool) -> Slab<usize> {
        let (mut slab, mut removals) = ((0..10_000).map(|n| (n, n)).collect::<Slab<usize>>(), Removals::default());
        let mut order: Vec<usize> = (0..10_000).filter(|n| !stays(*n)).collect();
        if from_last {
            order.reverse();
        }
        for n in order {
            slab.remove(n);
            removals.count(&mut slab);
        }
        assert!(slab.iter().all(|(key, n)| key == *n && stays(*n)));
        slab
    }

    #[test]
    fn a_slab_gives_back_what_is_behind_the_last() {
        let first = after(|n| n < 10, true);
        assert!(first.capacity() < 2_500, "{}", first.capacity());
        for from_last in [true, false] {
            let spread = after(|n| n % 1_000 == 0, from_last);
            assert!((9_001..=10_000).contains(&spread.capacity()), "{}", spread.capacity());
        }
    }
}
