//! When what failed is tried again.

use std::{collections::HashMap, hash::Hash};
use tokio::time::Instant;
use tombolo_kubernetes::retry::Pace;

/// What failed, and when it is tried again: later each time.
#[derive(Debug)]
pub(super) struct Retries<K>(HashMap<K, (u32, Instant)>);

impl<K> Default for Retries<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Retries<K> {
    /// Something failed, maybe again: it is tried again at this pace.
    pub(super) fn failed(&mut self, what: K, pace: Pace, now: Instant) {
        let times = self.0.get(&what).map_or(0, |(times, _)| *times);
        self.0.insert(what, (times.saturating_add(1), now + pace.wait(times)));
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
    use std::time::Duration;

    #[test]
    fn what_fails_is_due_later_each_time_until_it_works() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        retries.failed("a", Pace::Soon, now);
        let first = retries.next().unwrap();
        for _ in 0..8 {
            retries.failed("a", Pace::Soon, now);
        }
        let last = retries.next().unwrap();
        assert!(last > first && retries.due(first).is_empty());
        assert_eq!(retries.due(last), ["a"]);
        retries.worked(&"a");
        assert_eq!(retries.next(), None);
    }

    #[test]
    fn what_needs_people_is_tried_seldom() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        retries.failed("refused", Pace::Late, now);
        retries.failed("unavailable", Pace::Soon, now);
        assert_eq!(retries.due(now + Duration::from_secs(10)), ["unavailable"]);
    }
}
