//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubles from `first` to `most`; each wait is a random one between half of that and all of it, so that agents that lost the same
/// control plane do not come back all at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next wait. `luck` is between 0 and 1.
    pub(crate) fn wait(&mut self, luck: f64) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(self.most);
        bound.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_when_all_is_well() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(200), ms(1000));
        let waits: Vec<_> = [1.0, 0.0, 1.0, 1.0, 0.0].map(|luck| backoff.wait(luck)).into();
        assert_eq!(waits, [ms(200), ms(200), ms(800), ms(1000), ms(500)]);
        backoff.reset();
        assert_eq!(backoff.wait(0.0), ms(100));
    }
}
