//! How often something may be done.

use std::time::{Duration, SystemTime};

/// Allows one event an interval. Pure: the time is an argument.
#[derive(Clone, Debug)]
pub struct RateLimit {
    interval: Duration,
    last: Option<SystemTime>,
}

impl RateLimit {
    /// At most one event in `interval`; the first is allowed at once.
    pub fn every(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether it may happen now; if so, it counts as having happened. A clock that was set back allows it: otherwise it could be
    /// years until the next.
    pub fn allow(&mut self, now: SystemTime) -> bool {
        let allowed =
            self.last.is_none_or(|last| now.duration_since(last).is_ok_and(|past| past >= self.interval) || now < last);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn one_an_interval_and_a_clock_set_back_does_not_block_it() {
        let mut limit = RateLimit::every(Duration::from_secs(10));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let allowed = [1000, 1001, 1009, 1010, 1011, 500, 501].map(|seconds| limit.allow(at(seconds)));
        assert_eq!(allowed, [true, false, false, true, false, true, false]);
    }
}
