//! The newest identity, as everybody else sees it.

use super::Material;
use std::sync::Arc;
use tokio::sync::watch;

/// Where the newest identity is published.
#[derive(Debug)]
pub struct Publisher(pub(super) watch::Sender<Option<Arc<Material>>>);

/// The newest identity. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Current(watch::Receiver<Option<Arc<Material>>>);

/// Both ends. Made before there is an identity: whoever is asked for one is reached by who may show one.
pub fn channel() -> (Publisher, Current) {
    let (sender, receiver) = watch::channel(None);
    (Publisher(sender), Current(receiver))
}

impl Current {
    /// The newest identity; `None` before there was a first one.
    pub fn get(&self) -> Option<Arc<Material>> {
        self.0.borrow().clone()
    }

    /// The newest identity, which is now seen: [`Self::changed`] waits for one that is newer.
    pub fn latest(&mut self) -> Option<Arc<Material>> {
        self.0.borrow_and_update().clone()
    }

    /// Waits for the first identity. `None` where nobody is there any more who could publish one.
    pub async fn ready(&mut self) -> Option<Arc<Material>> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|material| material.clone())
    }

    /// Waits for an identity that this clone has not seen. Waits for ever where nobody can publish one.
    pub async fn changed(&mut self) -> Arc<Material> {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(material) = self.0.borrow_and_update().clone() {
                return material;
            }
        }
    }
}
