//! The keys in use, replaceable while tokens are verified.

use super::Jwks;
use crate::{RateLimit, exists::Answer};
use arc_swap::ArcSwap;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::Mutex;

/// A forged `kid` must not become a stream of requests to the API server.
const REFETCH: Duration = Duration::from_secs(10);
/// Requests with an unknown key wait for the fetch; not for ever.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The port to where keys come from: a file, a URL, the API server.
pub trait FetchKeys: Send + Sync {
    /// Reads the keys afresh.
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>>;
}

/// Keys could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the token issuer's keys: {0}")]
pub struct FetchError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The issuer's keys as last read.
#[derive(Debug)]
pub struct KeyRing {
    keys: ArcSwap<Jwks>,
    refetch: Mutex<RateLimit>,
}

impl KeyRing {
    /// Starts with these.
    pub fn new(keys: Jwks) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), refetch: Mutex::new(RateLimit::every(REFETCH)) }
    }

    /// Puts others in their place, for tokens that are verified from now on.
    pub fn replace(&self, keys: Jwks) {
        self.keys.store(Arc::new(keys));
    }

    /// The keys in use.
    pub fn current(&self) -> Arc<Jwks> {
        self.keys.load_full()
    }

    /// After a token's key was not among `seen`: reads the keys again, unless somebody else just did, or did too recently. Says
    /// whether there are other keys than those `seen`.
    pub(crate) async fn refresh(&self, seen: &Arc<Jwks>, source: &dyn FetchKeys, now: SystemTime) -> bool {
        let mut limit = self.refetch.lock().await;
        if Arc::ptr_eq(seen, &self.current()) && limit.allow(now) {
            let fetched = tokio::time::timeout(FETCH_TIMEOUT, source.fetch()).await;
            match fetched.unwrap_or_else(|late| Err(FetchError(late.into()))) {
                Ok(keys) => self.replace(keys),
                Err(error) => tracing::warn!("{error}; the keys read before stay in use"),
            }
        }
        !Arc::ptr_eq(seen, &self.current())
    }
}
