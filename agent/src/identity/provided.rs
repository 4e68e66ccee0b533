//! An identity in files that somebody else replaces in time: no certificate is asked for.

use super::{Clock, Handle, Health, Publisher, files, schedule};
use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};
use tombolo_core::SpiffeId;

/// How often the files are read.
const LOOK: Duration = Duration::from_secs(10);

/// Publishes the identity of a directory, and each that follows it: `key.pem`, `cert-chain.pem`, `root-cert.pem`.
pub struct Provided {
    directory: PathBuf,
    id: SpiffeId,
    clock: Clock,
    publisher: Publisher,
    health: watch::Sender<Health>,
    asked: Arc<Notify>,
}

impl Provided {
    /// Of a directory, for a workload.
    pub fn new(directory: PathBuf, id: SpiffeId, clock: Clock, publisher: Publisher) -> (Self, Handle) {
        let missing = Health::Missing { reason: format!("{} is read", directory.display()) };
        let (health, watched) = watch::channel(missing);
        let handle = Handle::new(watched, clock.clone());
        let asked = handle.asked();
        (Self { directory, id, clock, publisher, health, asked }, handle)
    }

    /// Follows the files, for ever.
    pub async fn run(self) -> Infallible {
        loop {
            self.look();
            // Whoever was refused may have read them before they were replaced.
            _ = tokio::time::timeout(LOOK, self.asked.notified()).await;
        }
    }

    /// Files that are of no use, perhaps because they are being replaced, change nothing.
    fn look(&self) {
        let now = (self.clock)();
        let found = match files::load(&self.directory, now) {
            Ok(Some(found)) if *found.id() == self.id => Ok(found),
            Ok(Some(found)) => Err(format!("it is the identity of {}, and this is {}", found.id(), self.id)),
            Ok(None) => Err("there is no key.pem and no cert-chain.pem".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let reason = match found {
            Ok(found) => {
                self.publisher.0.send_if_modified(|current| {
                    let new = current.as_ref().is_none_or(|current| !current.is_same_as(&found));
                    if new {
                        *current = Some(Arc::new(found));
                    }
                    new
                });
                format!("the files in {} were not replaced in time", self.directory.display())
            }
            Err(error) => format!("{}: {error}", self.directory.display()),
        };
        let current = self.publisher.0.borrow().clone();
        let health = schedule::health(current.as_deref(), Some(&reason), now);
        self.health.send_if_modified(|was| {
            let changed = *was != health;
            if changed && health != Health::Ok {
                tracing::error!("{}", health.reasons().concat());
            }
            *was = health;
            changed
        });
    }
}

impl std::fmt::Debug for Provided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provided").field("directory", &self.directory).field("id", &self.id).finish_non_exhaustive()
    }
}
