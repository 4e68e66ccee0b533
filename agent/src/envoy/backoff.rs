//! How long to wait before the next try.

use std::time::{Duration, SystemTime};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// Whatever lived this long did not fail at once: its next failure is a first one.
const SETTLED: Duration = Duration::from_secs(60);

/// Doubles from 200 ms to 30 s; each wait is between half of that and all of it, so that many do not try in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after something failed that had lived for so long.
    pub(crate) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= SETTLED {
            self.failures = 0;
        }
        let full = FIRST.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * jitter())
    }
}

/// From 0 to 1. The clock's last digits differ enough between processes.
fn jitter() -> f64 {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.subsec_nanos());
    f64::from(nanos % 1000) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_long_life() {
        let mut backoff = Backoff::default();
        for full in [200, 400, 800, 1600] {
            let wait = backoff.after(Duration::ZERO).as_millis();
            assert!(wait >= full / 2 && wait <= full, "{wait} of {full}");
        }
        for _ in 0..40 {
            assert!(backoff.after(Duration::ZERO) <= LONGEST);
        }
        assert!(backoff.after(SETTLED) <= FIRST);
    }
}
