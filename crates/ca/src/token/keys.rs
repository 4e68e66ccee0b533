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

/// For how long an issuer's name of before counts: longer than tokens of workloads last (12 hours, where nobody asked for less).
const OUTLIVES: Duration = Duration::from_secs(24 * 3600);

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
    /// The newest first, each with when it was last what the issuer said.
    names: ArcSwap<Vec<(String, SystemTime)>>,
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

    /// Whether the issuer calls itself this, or did within a day: its tokens outlive a change of its name. `None` where it never said.
    pub(crate) fn is_named(&self, issuer: &str, now: SystemTime) -> Option<bool> {
        let names = self.names.load();
        let (newest, before) = names.split_first()?;
        let lately = |(name, last): &(String, SystemTime)| name == issuer && now < *last + OUTLIVES;
        Some(newest.0 == issuer || before.iter().any(lately))
    }

    /// Reads the keys and the issuer's name again, each by itself. What cannot be read stays as it was.
    ///
    /// # Errors
    /// Either cannot be read.
    pub async fn read(&self, source: &dyn FetchKeys) -> Result<(), FetchError> {
        let (issuer, keys) = tokio::join!(source.issuer(), source.fetch());
        let keys = keys.map(|keys| self.replace(keys));
        let issuer = issuer.map(|issuer| issuer.into_iter().for_each(|issuer| self.name(issuer, SystemTime::now())));
        keys.and(issuer)
    }

    /// The issuer says its name, at this time: tokens have it from now on.
    pub fn name(&self, issuer: String, now: SystemTime) {
        let before = self.names.load();
        let lately = before.iter().filter(|(name, last)| *name != issuer && now < *last + OUTLIVES).cloned();
        let lately: Vec<_> = lately.collect();
        self.names.store(Arc::new(std::iter::once((issuer, now)).chain(lately).collect()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalIssuer;

    /// An issuer with a name that withholds its keys, or the other way round.
    struct Half(Option<&'static str>);

    fn keys() -> Jwks {
        LocalIssuer::create("https://issuer.test").unwrap().jwks().unwrap()
    }

    fn lost() -> FetchError {
        FetchError("lost".into())
    }

    impl FetchKeys for Half {
        fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>> {
            Box::pin(std::future::ready(if self.0.is_some() { Err(lost()) } else { Ok(keys()) }))
        }

        fn issuer(&self) -> Answer<'_, Result<Option<String>, FetchError>> {
            Box::pin(std::future::ready(self.0.map(|name| Some(name.to_owned())).ok_or_else(lost)))
        }
    }

    fn ring() -> KeyRing {
        KeyRing::new(keys())
    }

    #[test]
    fn a_name_of_before_counts_for_a_day() {
        let (ring, start) = (ring(), SystemTime::UNIX_EPOCH);
        assert_eq!(ring.is_named("old", start), None);
        ring.name("old".to_owned(), start);
        let hours = |hours: u64| start + Duration::from_secs(hours * 3600);
        assert_eq!(ring.is_named("old", hours(1000)), Some(true), "it is its name");
        ring.name("old".to_owned(), hours(1000));
        ring.name("new".to_owned(), hours(1001));
        assert_eq!(ring.is_named("old", hours(1023)), Some(true));
        assert_eq!(ring.is_named("old", hours(1024)), Some(false));
        assert_eq!(ring.is_named("new", hours(9999)), Some(true));
        ring.name("new".to_owned(), hours(1030));
        assert_eq!(ring.names.load().len(), 1, "what counts no more is not kept");
    }

    #[tokio::test]
    async fn name_and_keys_are_taken_each_by_itself() {
        let ring = ring();
        let before = ring.current();
        assert!(ring.read(&Half(Some("name"))).await.is_err());
        assert_eq!(ring.is_named("name", SystemTime::now()), Some(true));
        assert!(Arc::ptr_eq(&before, &ring.current()));
        assert!(ring.read(&Half(None)).await.is_err());
        assert!(!Arc::ptr_eq(&before, &ring.current()));
    }
}
