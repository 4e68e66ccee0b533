//! Being told of changes, within bounds: what cannot be told becomes "look at everything".

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TrySendError, sync_channel},
    },
    time::Duration,
};

/// Events that wait to be looked at; more than these are dropped, and everything is looked at instead.
const BACKLOG: usize = 4096;

/// A watch on a directory and what is below.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    overflowed: Arc<AtomicBool>,
    outside: BTreeSet<PathBuf>,
}

/// What waiting for an event came to.
pub(super) enum Heard {
    /// Something changed.
    Event(Event),
    /// Something changed, and nobody can say what.
    Lost,
    /// Nothing happened in time.
    Quiet,
}

impl Watch {
    pub(super) fn on(root: &Path) -> notify::Result<Self> {
        let (sender, events) = sync_channel(BACKLOG);
        let overflowed = Arc::new(AtomicBool::new(false));
        let flag = overflowed.clone();
        let mut watcher = notify::recommended_watcher(move |event| {
            if let Err(TrySendError::Full(_)) = sender.try_send(event) {
                flag.store(true, Ordering::Release);
            }
        })?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(Self { watcher, events, overflowed, outside: BTreeSet::new() })
    }

    /// Watches exactly these directories besides. What cannot be watched is not: its changes are seen at the next rescan.
    pub(super) fn outside(&mut self, directories: BTreeSet<PathBuf>) {
        for gone in self.outside.difference(&directories) {
            if let Err(error) = self.watcher.unwatch(gone) {
                tracing::debug!(%error, directory = %gone.display(), "could not end a watch");
            }
        }
        for new in directories.difference(&self.outside) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %new.display(), "cannot watch the target of a symbolic link");
            }
        }
        self.outside = directories;
    }

    /// Waits for something to happen, at most for so long.
    pub(super) fn wait(&self, patience: Duration) -> Heard {
        if self.overflowed.swap(false, Ordering::AcqRel) {
            return Heard::Lost;
        }
        match self.events.recv_timeout(patience) {
            Ok(Ok(event)) => Heard::Event(event),
            Ok(Err(error)) => {
                tracing::warn!(%error, "lost sight of some changes; looking at everything");
                Heard::Lost
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Heard::Quiet,
        }
    }
}
