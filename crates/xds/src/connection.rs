//! What the hub and a stream's task share.

use crate::{Class, ConnectionId, Peer, mailbox::Mailbox, session::Session, wire::Progress};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use tombolo_proto::Framing;

/// One ADS stream. Locks are taken in the order session, index, mailbox.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) framing: Framing,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Who opened it; `None` where nobody was asked.
    pub(crate) peer: Option<Peer>,
    session: Mutex<Session>,
    class: Mutex<Option<Class>>,
    /// Cancels the HTTP/2 connection that the stream is on.
    pub(crate) cut: CancellationToken,
    pub(crate) progress: Arc<Progress>,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        framing: Framing,
        mailbox: Arc<Mailbox>,
        peer: Option<Peer>,
        session: Session,
        cut: CancellationToken,
    ) -> Self {
        let (session, class, progress) = (Mutex::new(session), Mutex::new(None), Arc::default());
        Self { id, framing, mailbox, peer, session, class, cut, progress }
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
}
