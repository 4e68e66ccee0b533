//! Streams to the control plane, each a task of its own that dials, reads, and reports.

use super::{
    relay::LinkId,
    upstream::{Dial, Upstream, UpstreamError},
    wire::{Request, Response},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::AbortHandle,
    time::Instant,
};

/// What a stream's task reports.
#[derive(Debug)]
pub(super) enum LinkEvent {
    Opened(LinkId, mpsc::Sender<Request>),
    Response(LinkId, Response),
    Closed(LinkId, UpstreamError),
}

/// Every stream that is open or about to be.
pub(super) struct Links {
    events: mpsc::Sender<LinkEvent>,
    links: HashMap<LinkId, Link>,
    next: u64,
    dial_timeout: Duration,
}

struct Link {
    task: AbortHandle,
    requests: Option<mpsc::Sender<Request>>,
    /// When it counts as having said all that differs, if it says nothing more; and when in any case.
    quiet_at: Option<(Instant, Instant)>,
}

impl Links {
    pub(super) fn new(events: mpsc::Sender<LinkEvent>, dial_timeout: Duration) -> Self {
        Self { events, links: HashMap::new(), next: 0, dial_timeout }
    }

    /// Opens a stream after a wait.
    pub(super) fn dial(&mut self, dial: Arc<dyn Dial>, wait: Duration) -> LinkId {
        self.next += 1;
        let id = LinkId(self.next);
        let task = tokio::spawn(run(id, dial, wait, self.dial_timeout, self.events.clone())).abort_handle();
        self.links.insert(id, Link { task, requests: None, quiet_at: None });
        id
    }

    /// Whether the stream has not been given up meanwhile.
    pub(super) fn contains(&self, id: LinkId) -> bool {
        self.links.contains_key(&id)
    }

    /// The stream is open. It has until `by` to say what differs.
    pub(super) fn opened(&mut self, id: LinkId, requests: mpsc::Sender<Request>, by: Instant) {
        if let Some(link) = self.links.get_mut(&id) {
            link.requests = Some(requests);
            link.quiet_at = Some((by, by));
        }
    }

    /// The stream is of no more use.
    pub(super) fn close(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(&id) {
            link.task.abort();
        }
    }

    /// Writes a request. `Err` where the stream is stalled; one that is over reports that itself.
    pub(super) fn send(&self, id: LinkId, request: Request) -> Result<(), UpstreamError> {
        let Some(requests) = self.links.get(&id).and_then(|link| link.requests.as_ref()) else { return Ok(()) };
        match requests.try_send(request) {
            Err(TrySendError::Full(_)) => Err(UpstreamError::Stalled),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// The stream said something: it is quiet if it says nothing more until `at`.
    pub(super) fn heard(&mut self, id: LinkId, at: Instant) {
        if let Some((quiet_at, by)) = self.links.get_mut(&id).and_then(|link| link.quiet_at.as_mut()) {
            *quiet_at = at.min(*by);
        }
    }

    /// The stream is known to be quiet.
    pub(super) fn settled(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.quiet_at = None;
        }
    }

    /// No stream was opened yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.next == 0
    }

    /// The stream that is quiet next.
    pub(super) fn next_quiet(&self) -> Option<(Instant, LinkId)> {
        self.links.iter().filter_map(|(id, link)| Some((link.quiet_at?.0, *id))).min()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.links.values().for_each(|link| link.task.abort());
    }
}

async fn run(id: LinkId, dial: Arc<dyn Dial>, wait: Duration, timeout: Duration, events: mpsc::Sender<LinkEvent>) {
    tokio::time::sleep(wait).await;
    let error = match tokio::time::timeout(timeout, dial.dial()).await {
        Ok(Ok(upstream)) => follow(id, upstream, &events).await,
        Ok(Err(error)) => error,
        Err(_) => UpstreamError::Timeout(timeout),
    };
    _ = events.send(LinkEvent::Closed(id, error)).await;
}

/// Reports what the stream says, until it is over.
async fn follow(id: LinkId, upstream: Upstream, events: &mpsc::Sender<LinkEvent>) -> UpstreamError {
    let mut responses = upstream.responses;
    _ = events.send(LinkEvent::Opened(id, upstream.requests)).await;
    while let Some(response) = responses.recv().await {
        match response {
            Ok(response) => _ = events.send(LinkEvent::Response(id, response)).await,
            Err(error) => return error,
        }
    }
    UpstreamError::Broken("the stream's other end is gone".to_owned())
}
