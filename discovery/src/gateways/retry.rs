//! When what failed is tried again.

use std::{collections::HashMap, hash::Hash, time::Duration};
use tokio::time::Instant;

const SOON: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(60);

/// What failed, and when it is tried again: later each time.
#[derive(Debug)]
pub(super) struct Retries<K>(HashMap<K, (u32, Instant)>);

impl<K> Default for Retries<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Retries<K> {
    /// Something failed, maybe again.
    pub(super) fn failed(&mut self, what: K, now: Instant) {
        let times = self.0.get(&what).map_or(0, |(times, _)| *times);
        let wait = SOON.saturating_mul(1 << times.min(8)).min(LATE);
        self.0.insert(what, (times + 1, now + wait));
    }

    /// Something worked.
    pub(super) fn worked(&mut self, what: &K) {
        self.0.remove(what);
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, at)| *at).min()
    }

    /// What is due.
    pub(super) fn due(&self, now: Instant) -> Vec<K> {
        self.0.iter().filter(|(_, (_, at))| *at <= now).map(|(what, _)| what.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_is_tried_later_each_time_up_to_a_minute() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..10 {
            retries.failed("a", now);
            waits.push(retries.next().unwrap() - now);
        }
        assert_eq!(waits[..3], [SOON, SOON * 2, SOON * 4]);
        assert_eq!(waits[9], LATE);
        assert!(retries.due(now).is_empty());
        assert_eq!(retries.due(now + LATE), ["a"]);
        retries.worked(&"a");
        assert_eq!(retries.next(), None);
    }
}
