//! What has changed for one connection since it last looked. Latest wins per resource; never more than one entry per resource.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
};
use tombolo_proto::{Resource, ResourceType};

use crate::Class;

/// Where the publisher leaves changes for a connection's task.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Inbox>);

/// What the mailbox held.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Changed resources.
    pub(crate) letters: HashMap<(ResourceType, Arc<str>), Letter>,
    /// A new class for the connection.
    pub(crate) class: Option<Class>,
    /// The stream is to end, with this message.
    pub(crate) close: Option<tonic::Status>,
    waker: Option<Waker>,
}

/// One resource's change, as one connection sees it.
pub(crate) struct Letter {
    /// What was visible when the mailbox was last emptied.
    pub(crate) before: Option<Arc<Resource>>,
    /// What is visible now.
    pub(crate) after: Option<Arc<Resource>>,
}

impl Letter {
    /// A change there and back again.
    pub(crate) fn is_void(&self) -> bool {
        self.before.as_ref().map(|r| r.version()) == self.after.as_ref().map(|r| r.version())
    }
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.class.is_none() && self.close.is_none()
    }
}

impl Mailbox {
    /// Leaves a change. Wakes nobody: the publisher does so once, after all changes.
    pub(crate) fn post(
        &self,
        kind: ResourceType,
        name: &Arc<str>,
        before: Option<Arc<Resource>>,
        after: Option<Arc<Resource>>,
    ) {
        let mut inbox = self.lock();
        match inbox.letters.get_mut(&(kind, name.clone())) {
            Some(letter) => letter.after = after,
            None => _ = inbox.letters.insert((kind, name.clone()), Letter { before, after }),
        }
    }

    /// Leaves a new class, and wakes.
    pub(crate) fn reclassify(&self, class: Class) {
        self.lock().class = Some(class);
        self.wake();
    }

    /// Asks for the stream's end, and wakes.
    pub(crate) fn close(&self, status: tonic::Status) {
        self.lock().close.get_or_insert(status);
        self.wake();
    }

    /// Wakes the connection's task, if it sleeps.
    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what is there; where there is nothing, `waker` is kept for the next change.
    pub(crate) fn take(&self, waker: &Waker) -> Option<Inbox> {
        let mut inbox = self.lock();
        if inbox.is_empty() {
            if !inbox.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
                inbox.waker = Some(waker.clone());
            }
            return None;
        }
        Some(std::mem::take(&mut *inbox))
    }

    /// Takes the changed resources only.
    pub(crate) fn take_letters(&self) -> HashMap<(ResourceType, Arc<str>), Letter> {
        std::mem::take(&mut self.lock().letters)
    }

    /// Whether a change of this resource waits.
    pub(crate) fn has(&self, kind: ResourceType, name: &str) -> bool {
        let inbox = self.lock();
        !inbox.letters.is_empty() && inbox.letters.contains_key(&(kind, name.into()))
    }

    /// How many changes wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().letters.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
