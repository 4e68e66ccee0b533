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

/// Names of an issuer that count: the last, and some before it.
const NAMES: usize = 4;

/// The port to where keys come from: a file, a URL, the API server.
pub trait FetchKeys: Send + Sync {
    /// Reads the keys afresh.
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>>;

    /// What the issuer calls itself now, where that may change; `None` where nobody says.
    fn issuer(&self) -> Answer<'_, Result<Option<String>, FetchError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Keys could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the token issuer's keys: {0}")]
pub struct FetchError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The issuer's keys as last read, and what it called itself.
#[derive(Debug)]
pub struct KeyRing {
    keys: ArcSwap<Jwks>,
    /// The newest first.
    names: ArcSwap<Vec<String>>,
    refetch: Mutex<RateLimit>,
}

impl KeyRing {
    /// Starts with these.
    pub fn new(keys: Jwks) -> Self {
        Self {
            keys: ArcSwap::from_pointee(keys),
            names: ArcSwap::default(),
            refetch: Mutex::new(RateLimit::every(REFETCH)),
        }
    }

    /// Puts others in their place, for tokens that are verified from now on.
    pub fn replace(&self, keys: Jwks) {
        self.keys.store(Arc::new(keys));
    }

    /// The keys in use.
    pub fn current(&self) -> Arc<Jwks> {
        self.keys.load_full()
    }

    /// True for what the issuer was found to call itself, now or not long ago: its tokens outlive a change of its name.
    pub(crate) fn is_named(&self, issuer: &str) -> bool {
        self.names.load().iter().any(|name| name == issuer)
    }

    /// Reads the keys and the issuer's name again. What cannot be read stays as it was.
    ///
    /// # Errors
    /// Either cannot be read.
    pub async fn read(&self, source: &dyn FetchKeys) -> Result<(), FetchError> {
        let (issuer, keys) = tokio::try_join!(source.issuer(), source.fetch())?;
        if let Some(issuer) = issuer.filter(|issuer| !self.is_named(issuer)) {
            let before = self.names.load();
            let names = std::iter::once(issuer).chain(before.iter().cloned());
            self.names.store(Arc::new(names.take(NAMES).collect()));
        }
        self.replace(keys);
        Ok(())
    }

    /// After a token's key was not among `seen`, or its issuer not known: reads both again, unless somebody else just did, or did too
    /// recently. Says whether they were read since `seen`.
    pub(crate) async fn refresh(&self, seen: &Arc<Jwks>, source: &dyn FetchKeys, now: SystemTime) -> bool {
        let mut limit = self.refetch.lock().await;
        if Arc::ptr_eq(seen, &self.current()) && limit.allow(now) {
            let read = tokio::time::timeout(FETCH_TIMEOUT, self.read(source)).await;
            if let Err(error) = read.unwrap_or_else(|late| Err(FetchError(late.into()))) {
                tracing::warn!("{error}; the keys read before stay in use");
            }
        }
        !Arc::ptr_eq(seen, &self.current())
    }
}
