//! How a watch fares: counted while it fails; said once, and once more when it goes on.

use crate::metrics::{WatchMetrics, Watching};
use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher::{self, Event};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A watch that failed and does not fail again for so long has gone on, even where nothing happens: longer than it takes to fail to
/// connect, and the wait before that.
const QUIET: Duration = Duration::from_secs(40);

/// How one watch fares.
pub(crate) struct Watched {
    metrics: WatchMetrics,
    what: Watching,
    failing: Option<Failing>,
}

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    last: Instant,
}

/// Who no longer watches fails no longer.
impl Drop for Watched {
    fn drop(&mut self) {
        if self.failing.is_some() {
            self.metrics.recovered(self.what);
        }
    }
}

impl Watched {
    /// A watch of a kind, and what for: some kinds are watched more than once.
    pub(crate) fn new(metrics: &WatchMetrics, kind: &'static str, purpose: &'static str) -> Self {
        Self { metrics: metrics.clone(), what: Watching { kind, purpose }, failing: None }
    }

    /// The events of a watch, without its failures.
    pub(crate) fn events<T: Send>(
        self,
        events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
    ) -> impl Stream<Item = Event<T>> + Send {
        stream::unfold((Box::pin(events), self), async |(mut events, mut watched)| {
            loop {
                let next = watched.next(&mut events).await?;
                if let Some(event) = watched.event(next) {
                    return Some((event, (events, watched)));
                }
            }
        })
    }

    /// What the watch has to say next. While it fails, nothing for long enough is good news.
    pub(crate) async fn next<S: Stream + Unpin>(&mut self, events: &mut S) -> Option<S::Item> {
        if let Some(failing) = self.failing {
            if let Ok(next) = timeout_at(failing.last + QUIET, events.next()).await {
                return next;
            }
            self.works();
        }
        events.next().await
    }

    /// The event, or `None` where the watch failed.
    pub(crate) fn event<T>(&mut self, event: watcher::Result<Event<T>>) -> Option<Event<T>> {
        match event {
            // That a list begins says nothing yet.
            Ok(Event::Init) => Some(Event::Init),
            Ok(event) => {
                self.works();
                Some(event)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn works(&mut self) {
        if let Some(Failing { since, .. }) = self.failing.take() {
            let Watching { kind, purpose } = self.what;
            self.metrics.recovered(self.what);
            tracing::info!(kind, purpose, seconds = since.elapsed().as_secs(), "watched again");
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        let (Watching { kind, purpose }, now) = (self.what, Instant::now());
        if self.failing.is_none() {
            let fix = fix(error);
            tracing::warn!(kind, purpose, "cannot be watched, what was read last goes on being used: {error}{fix}");
        }
        self.failing = Some(Failing { since: self.failing.map_or(now, |failing| failing.since), last: now });
        self.metrics.failed(self.what);
    }
}

fn fix(error: &watcher::Error) -> &'static str {
    let (watcher::Error::InitialListFailed(inner) | watcher::Error::WatchStartFailed(inner)) = error else { return "" };
    match inner {
        kube::Error::Api(status) if status.code == 403 => {
            ": the ServiceAccount may not list or watch it; grant that in its ClusterRole"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;
    use std::pin::pin;

    fn failing(registry: &Registry) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, registry).unwrap();
        page.lines().find(|line| line.starts_with("tombolo_watch_failing{")).unwrap_or_default().to_owned()
    }

    fn away() -> watcher::Result<Event<()>> {
        Err(watcher::Error::NoResourceVersion)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_fails_until_it_says_something_or_has_been_quiet() {
        let (metrics, mut registry) = (WatchMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let said = stream::iter([Ok(Event::Init), away(), Ok(Event::Init), Ok(Event::InitDone), away()]);
        let mut events = pin!(Watched::new(&metrics, "Pod", "identities").events(said.chain(stream::pending())));
        let line = |failing: u8| format!("tombolo_watch_failing{{kind=\"Pod\",purpose=\"identities\"}} {failing}");
        assert!(matches!(events.next().await, Some(Event::Init)));
        assert_eq!(failing(&registry), "");
        assert!(matches!(events.next().await, Some(Event::Init)));
        assert_eq!(failing(&registry), line(1), "a list that begins is no sign yet");
        assert!(matches!(events.next().await, Some(Event::InitDone)));
        assert_eq!(failing(&registry), line(0));
        assert!(timeout_at(Instant::now() + QUIET / 2, events.next()).await.is_err());
        assert_eq!(failing(&registry), line(1));
        assert!(timeout_at(Instant::now() + QUIET, events.next()).await.is_err());
        assert_eq!(failing(&registry), line(0), "quiet");
    }
}
