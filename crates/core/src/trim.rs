//! Room that goes with what it was for. A table keeps the room of all that was ever in it at once, for good.
//!
//! To be called where something is removed: that costs a constant each on average, as much must have gone before anything is moved, and
//! what stays has room to grow.

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

/// As [`trim`], of a vector.
pub fn trim_vec<T>(vec: &mut Vec<T>) {
    if vec.capacity() / 2 >= room(vec.len()) {
        vec.shrink_to_fit();
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
}
