//! Watching the objects of a kind: as a stream from the first, and with how long to wait before what failed is begun again.

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, Config, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, time::Duration};
use tokio::time::Instant;

/// Follows objects until it is dropped; what failed is begun again after [`WatchBackoff`], and said. Their list comes as a stream too
/// (WatchList, KEP-3157), so that an API server need not hold all of it; from one that cannot do so, in pages.
pub fn events<K>(api: Api<K>, config: Config) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let begin = move |config: Config| watcher(api.clone(), config).backoff(WatchBackoff::default()).boxed();
    let streamed = begin(config.clone().streaming_lists());
    let state = Following { events: streamed, in_pages: Some(move || begin(config)) };
    stream::unfold(state, async |mut following| {
        loop {
            let event = following.events.next().await?;
            if event.as_ref().is_err_and(cannot_stream)
                && let Some(in_pages) = following.in_pages.take()
            {
                following.events = in_pages();
                continue;
            }
            return Some((event, following));
        }
    })
}

struct Following<'a, K, P> {
    events: BoxStream<'a, watcher::Result<Event<K>>>,
    /// How to begin anew; `None` once that was done.
    in_pages: Option<P>,
}

/// Streaming lists need Kubernetes 1.32 and etcd 3.4.25: older ones refuse the watch (422), or end it at once.
fn cannot_stream(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.message.contains("RequestWatchProgress"),
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 422 || status.code == 400,
        _ => false,
    }
}

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
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Client, client::Body};
    use std::{
        convert::Infallible,
        pin::pin,
        sync::{Arc, Mutex},
    };

    /// The API server of some Kubernetes: answers lists, and ends watches, by what they ask for.
    fn server(stream: (u16, &'static str), asked: Arc<Mutex<Vec<String>>>) -> Client {
        let answer = move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (code, body) = match query.split('&').find(|part| part.starts_with("watch=")) {
                Some(_) if query.contains("sendInitialEvents=true") => stream,
                Some(_) => (200, ""),
                None => (200, r#"{"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "listed"}}]}"#),
            };
            asked.lock().unwrap().push(query);
            let body = http_body_util::Full::from(body);
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
        };
        Client::new(tower::service_fn(answer), "default")
    }

    async fn first(stream: (u16, &'static str)) -> (Vec<String>, usize) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let api = Api::<ConfigMap>::all(server(stream, asked.clone()));
        let mut events = pin!(events(api, Config::default()));
        let mut names = Vec::new();
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::InitApply(object) => names.extend(object.metadata.name),
                Event::InitDone => break,
                Event::Init | Event::Apply(_) | Event::Delete(_) => {}
            }
        }
        let pages = asked.lock().unwrap().iter().filter(|query| !query.contains("watch=")).count();
        (names, pages)
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_streamed_and_come_in_pages_where_that_is_refused() {
        let streamed = concat!(
            r#"{"type": "ADDED", "object": {"metadata": {"name": "streamed", "resourceVersion": "1"}}}"#,
            "\n",
            r#"{"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": "1",
                "annotations": {"k8s.io/initial-events-end": "true"}}}}"#,
            "\n"
        );
        let flat: &'static str = Box::leak(streamed.replace("\n                ", " ").into_boxed_str());
        assert_eq!(first((200, flat)).await, (vec!["streamed".to_owned()], 0));
        let refused =
            r#"{"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid", "message": "forbidden"}"#;
        assert_eq!(first((422, refused)).await, (vec!["listed".to_owned()], 1));
        let ended = r#"{"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 500,
            "message": "etcd server does not support RequestWatchProgress"}}"#;
        let flat: &'static str = Box::leak(ended.replace("\n            ", " ").into_boxed_str());
        assert_eq!(first((200, flat)).await, (vec!["listed".to_owned()], 1));
    }

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
