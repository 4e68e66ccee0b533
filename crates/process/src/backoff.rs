//! How long to wait before the next try.

use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// Whatever lived this long did not fail at once: its next failure is a first one.
const SETTLED: Duration = Duration::from_secs(60);

/// Waits that double from a first one to a longest one. Each is a random one between half of that and all of it, so that those who lost
/// the same thing do not come back all at once.
#[derive(Debug)]
pub struct Backoff {
    policy: ExponentialBuilder,
    waits: <ExponentialBuilder as BackoffBuilder>::Backoff,
    failures: u32,
}

impl Default for Backoff {
    /// From 200 ms to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(30))
    }
}

impl Backoff {
    /// With these bounds of the first wait and of all.
    pub fn new(first: Duration, longest: Duration) -> Self {
        // The builder's jitter adds up to as much again.
        let policy = ExponentialBuilder::new().with_min_delay(first / 2).with_max_delay(longest / 2);
        let policy = policy.with_jitter().without_max_times();
        Self { policy, waits: policy.build(), failures: 0 }
    }

    /// The wait after one more failure.
    pub fn wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.waits.next().unwrap_or_default() // it has no end
    }

    /// The wait after something failed that had lived for so long: a minute and more was a success.
    pub fn wait_after(&mut self, lived: Duration) -> Duration {
        if lived >= SETTLED {
            self.reset();
        }
        self.wait()
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.waits = self.policy.build();
        self.failures = 0;
    }

    /// The failures since it last worked.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u128 = 200;
    const LONGEST: u128 = 30_000;

    /// Whatever luck says; in whole milliseconds, as the sum of two fractions may exceed the bound by a rounding.
    fn bounded(wait: Duration, full: u128) {
        let wait = wait.as_millis();
        assert!((full / 2..=full).contains(&wait), "{wait} of {full}");
    }

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_once_it_worked() {
        let mut backoff = Backoff::default();
        for full in [FIRST, 400, 800, 1600, 3200, 6400, 12_800, 25_600, LONGEST] {
            bounded(backoff.wait(), full);
        }
        for _ in 0..40 {
            bounded(backoff.wait(), LONGEST);
        }
        assert_eq!(backoff.failures(), 49);
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        bounded(backoff.wait(), FIRST);
    }

    #[test]
    fn a_long_life_was_a_success() {
        let mut backoff = Backoff::default();
        for full in [FIRST, 400, 800] {
            bounded(backoff.wait_after(SETTLED - Duration::from_millis(1)), full);
        }
        bounded(backoff.wait_after(SETTLED), FIRST);
    }

    #[test]
    fn waits_differ() {
        let waits: Vec<_> =
            (0..8).map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).wait()).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}
