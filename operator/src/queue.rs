//! What waits for its reconciliation, for metrics: kube's applier keeps the queue itself, and does not show it.

use crate::{kinds::Kind, metrics::Metrics};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// The objects of a kind that were asked for and whose turn has not come. A handle: clones are the same one.
///
/// What waits for another attempt is none of them: it was not asked for.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Waiting>);

struct Waiting {
    kind: Kind,
    metrics: Metrics,
    /// By name, since when.
    since: Mutex<HashMap<String, Instant>>,
}

impl Queue {
    pub(crate) fn new(kind: Kind, metrics: Metrics) -> Self {
        metrics.queued(kind, 0);
        Self(Arc::new(Waiting { kind, metrics, since: Mutex::default() }))
    }

    /// An object is asked for. Where it waits already, nothing is new.
    pub(crate) fn joins(&self, name: &str) {
        let mut since = self.since();
        if let Entry::Vacant(place) = since.entry(name.to_owned()) {
            place.insert(Instant::now());
            self.0.metrics.queued(self.0.kind, since.len());
        }
    }

    /// Its turn has come.
    pub(crate) fn leaves(&self, name: &str) {
        let mut since = self.since();
        if let Some(joined) = since.remove(name) {
            self.0.metrics.queued(self.0.kind, since.len());
            self.0.metrics.waited(self.0.kind, joined.elapsed());
        }
    }

    fn since(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who no longer leads has no queue.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.metrics.queued(self.kind, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use std::time::Duration;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_asked_for_again_waits_since_the_first_time() {
        let metrics = Metrics::default();
        let queue = Queue::new(kinds::TAG, metrics.clone());
        queue.joins("a");
        sleep(Duration::from_secs(2)).await;
        queue.joins("a");
        queue.joins("b");
        assert_eq!(metrics.value("queue_depth", kinds::TAG), 2.0);
        sleep(Duration::from_secs(1)).await;
        queue.leaves("a");
        queue.leaves("a");
        queue.leaves("c");
        assert_eq!(metrics.value("queue_depth", kinds::TAG), 1.0);
        assert_eq!(metrics.value("queue_duration_seconds_count", kinds::TAG), 1.0);
        let waited = metrics.value("queue_duration_seconds_sum", kinds::TAG);
        assert!((waited - 3.0).abs() < 0.01, "{waited}");
        drop(queue);
        assert_eq!(metrics.value("queue_depth", kinds::TAG), 0.0);
    }
}
