//! One clock for several processes.

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment of the machine's monotonic clock, in nanoseconds: comparable between processes, unlike [`std::time::Instant`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self(nanos(clock_gettime(ClockId::Monotonic)))
    }

    /// How long after an earlier moment this one is; nothing where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment that comes this long after this one.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// CPU time that the calling thread has used.
pub fn thread_cpu_time() -> Duration {
    Duration::from_nanos(nanos(clock_gettime(ClockId::ThreadCPUTime)))
}

/// CPU time that this process has used, on all its threads.
pub fn process_cpu_time() -> Duration {
    Duration::from_nanos(nanos(clock_gettime(ClockId::ProcessCPUTime)))
}

/// CPU time that all threads of this process but the calling one use while it acts: what serving costs, where the calling thread is
/// the client and no thread does anything but serve it.
pub fn cpu_of_others<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let (all, own) = (process_cpu_time(), thread_cpu_time());
    let result = act();
    let (all, own) = (process_cpu_time() - all, thread_cpu_time() - own);
    (result, all.saturating_sub(own))
}

fn nanos(time: Timespec) -> u64 {
    let part = |n: i64| u64::try_from(n).unwrap_or_default(); // these clocks start at 0
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_work_costs_cpu_time() {
        let (start, cpu) = (Moment::now(), thread_cpu_time());
        let mut sum = 0_u64;
        while thread_cpu_time() == cpu {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(Moment::now() > start && Moment::now().since(start) >= Duration::from_nanos(1));
        assert_eq!(start.since(Moment::now()), Duration::ZERO);
        assert_eq!(start.after(Duration::from_millis(3)).since(start), Duration::from_millis(3));
        assert!(process_cpu_time() >= thread_cpu_time() - cpu);
    }
}
