//! What the hub and a stream's task share.

use crate::{Class, ConnectionId, mailbox::Mailbox, session::Session};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tombolo_proto::Framing;

/// One ADS stream. Locks are taken in the order session, index, mailbox.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) framing: Framing,
    pub(crate) mailbox: Arc<Mailbox>,
    session: Mutex<Session>,
    class: Mutex<Option<Class>>,
    /// Cancels the HTTP/2 connection that the stream is on.
    pub(crate) cut: CancellationToken,
    began: Instant,
    /// Since when a block waits to be taken by the client: milliseconds after `began`, plus one; 0 where none does.
    waiting: AtomicU64,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        framing: Framing,
        mailbox: Arc<Mailbox>,
        session: Session,
        cut: CancellationToken,
    ) -> Self {
        Self {
            id,
            framing,
            mailbox,
            session: Mutex::new(session),
            class: Mutex::new(None),
            cut,
            began: Instant::now(),
            waiting: AtomicU64::new(0),
        }
    }

    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn class(&self) -> MutexGuard<'_, Option<Class>> {
        self.class.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The proxy's name for people; empty until it is known.
    pub(crate) fn proxy(&self) -> Arc<str> {
        self.class().as_ref().map_or_else(|| "".into(), |class| class.proxy.clone())
    }

    /// Age of the stream.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// A block was handed over; until the next call of either, the client has not made room for more.
    pub(crate) fn wrote(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waiting.store(now.saturating_add(1), Ordering::Relaxed);
    }

    /// There is nothing to write.
    pub(crate) fn idle(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// For how long the client has made no room for what is to be written.
    pub(crate) fn stalled(&self) -> Duration {
        match self.waiting.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.began.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }
}
