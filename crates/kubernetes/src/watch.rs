//! How long to wait before a watch that failed is begun again.

use kube::runtime::utils::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait, and the longest: whoever waits serves what he read last, so that it is to be short; and it is a request a
/// few seconds for each kind and replica, which an API server that comes back can bear.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Whoever has not failed for so long begins with the first wait again.
const CALM: Duration = Duration::from_secs(30);

/// The waits of one watch: 1 s, 2 s, 4 s, then 5 s, each shortened by up to half by chance, so that watches do not try in step.
///
/// kube's own grow to a minute, and one is waited for twice where the API server has forgotten the version that was seen last.
/// That something was received does not begin them anew: kube says that a list begins even where it then fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchBackoff {
    failures: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    fn after(&mut self, now: Instant, chance: f64) -> Duration {
        let calm = self.last.is_none_or(|last| now.duration_since(last) > CALM);
        self.failures = if calm { 0 } else { self.failures.saturating_add(1) };
        self.last = Some(now);
        let full = WAITS.0.saturating_mul(2_u32.saturating_pow(self.failures)).min(WAITS.1);
        full.mul_f64(1.0 - 0.5 * chance)
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.after(Instant::now(), fastrand::f64()))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_a_little_and_begin_anew_after_a_calm_time() {
        let (mut backoff, mut now) = (WatchBackoff::default(), Instant::now());
        let mut wait = |after: u64, chance| {
            now += Duration::from_secs(after);
            backoff.reset(); // a list began
            backoff.after(now, chance).as_secs_f64()
        };
        let waits: Vec<_> = (0..6).map(|_| wait(5, 0.0)).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]);
        assert!((wait(5, 1.0) - 2.5).abs() < 1e-9);
        assert!((wait(31, 0.0) - 1.0).abs() < 1e-9);
    }
}
