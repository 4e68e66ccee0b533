//! The state that the stream's task and those who look at it share.

use super::{
    relay::{Action, Event, Note, Relay},
    shelf::{Keep, Kind},
    status::{Rejection, Status, TypeStatus},
    upstream::UpstreamError,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};
use tokio::sync::Notify;

/// See the module. Locked for moments, never across an await.
pub(super) struct Books {
    pub(super) relay: Relay,
    pub(super) shelf: Box<dyn Keep>,
    /// When the control plane's word was last heard, or known to be all; while it is there, that is now.
    pub(super) current_as_of: Option<Instant>,
    pub(super) last_rejection: Option<Rejection>,
    pub(super) last_failure: Option<UpstreamError>,
    pub(super) resyncs: u64,
}

/// Shared books.
#[derive(Clone)]
pub(super) struct Shared {
    books: Arc<Mutex<Books>>,
    /// Something was accepted: it is to be made to last.
    pub(super) accepted: Arc<Notify>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(super) fn new(relay: Relay, shelf: Box<dyn Keep>) -> Self {
        let (current_as_of, last_rejection, last_failure) = (None, None, None);
        let books = Books { relay, shelf, current_as_of, last_rejection, last_failure, resyncs: 0 };
        Self { books: Arc::new(Mutex::new(books)), accepted: Arc::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Takes in an event.
    pub(super) fn handle(&mut self, event: Event) -> Vec<Action> {
        let was_confirmed = self.relay.is_confirmed();
        let heard = matches!(event, Event::Response(..));
        let actions = self.relay.handle(event, &mut *self.shelf);
        if heard || was_confirmed || self.relay.is_confirmed() {
            self.current_as_of = Some(Instant::now());
        }
        actions
    }

    /// Something that people look up.
    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Accepted(_) => {}
            Note::Rejected(kind, message) => {
                self.last_rejection =
                    Some(Rejection { type_url: kind.to_string(), message: message.clone(), at: SystemTime::now() });
            }
            Note::Resync(_) => self.resyncs += 1,
        }
    }

    /// Seconds since the config was last known to be what the control plane wants. 0 while it is there; `None` if it never was.
    pub(super) fn config_age(&self) -> Option<f64> {
        if self.relay.is_confirmed() {
            return Some(0.0);
        }
        self.current_as_of.map(|at| at.elapsed().as_secs_f64())
    }

    pub(super) fn status(&self) -> Status {
        let types = |(kind, [subscribed, unanswered, pending]): (&Kind, [usize; 3])| TypeStatus {
            type_url: kind.to_string(),
            subscribed,
            accepted: self.shelf.count(kind),
            unanswered,
            pending,
        };
        let (resources, bytes) = self.shelf.size();
        Status {
            connected: self.relay.current().is_some(),
            current: self.relay.is_confirmed(),
            replacing: self.relay.candidate().is_some(),
            envoy: self.relay.has_envoy(),
            config_age_seconds: self.config_age(),
            cached_resources: resources,
            cached_bytes: bytes,
            acknowledged_health: self.relay.acknowledged_report(),
            resyncs: self.resyncs,
            last_failure: self.last_failure.as_ref().map(ToString::to_string),
            last_rejection: self.last_rejection.clone(),
            types: self.relay.types().map(types).collect(),
        }
    }
}
