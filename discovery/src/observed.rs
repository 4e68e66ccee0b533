//! The status that objects were last seen with: what a writer compares with, so that it reads nothing and writes only differences.

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use tombolo_api::{Kind, ObjectKey};

/// What was last seen of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Its `resourceVersion`.
    pub(crate) version: String,
    /// Its whole status, others' parts included; null where it has none.
    pub(crate) status: Value,
}

/// The same as it is kept: one of thousands, and read seldom. Conditions say the same again and again, so a status is a third of its
/// size deflated (RFC 1951), and a thirtieth of what its tree takes.
#[derive(Debug)]
struct Kept {
    version: Box<str>,
    status: Box<[u8]>,
}

impl Kept {
    fn new(seen: &Seen) -> Self {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Memory takes all that is written to it.
        _ = write!(deflated, "{}", seen.status);
        Self { version: seen.version.as_str().into(), status: deflated.finish().unwrap_or_default().into() }
    }

    fn status(&self) -> Value {
        serde_json::from_reader(DeflateDecoder::new(&*self.status)).unwrap_or_default() // it was a value before
    }
}

/// What was last seen of every object whose status may be written.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    known: Mutex<Known>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Known {
    objects: BTreeMap<ObjectKey, Kept>,
    /// The version of each kind that is served.
    served: HashMap<Kind, &'static str>,
    /// Objects that changed and were not asked for since; `None` while nobody listens.
    changed: Option<HashSet<ObjectKey>>,
}

impl Observed {
    /// Kinds whose status is written here.
    pub(crate) const KINDS: [Kind; 5] =
        [Kind::GatewayClass, Kind::Gateway, Kind::HttpRoute, Kind::ServiceEntry, Kind::WorkloadEntry];

    /// Notes an object, if it is of a kind that counts.
    pub(crate) fn see(&self, key: &ObjectKey, seen: impl FnOnce() -> Seen) {
        if !Self::KINDS.contains(&key.kind) {
            return;
        }
        let mut known = self.known();
        let seen = seen();
        // A write of our own is known before it is seen: that is no news.
        let news = known.objects.get(key).is_none_or(|old| *old.version != *seen.version);
        known.objects.insert(key.clone(), Kept::new(&seen));
        if news {
            self.tell(known, key);
        }
    }

    /// The object is gone.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        let mut known = self.known();
        if known.objects.remove(key).is_some() {
            self.tell(known, key);
        }
    }

    /// Notes what a write has made of an object, unless something newer than its base was seen meanwhile.
    pub(crate) fn written(&self, key: &ObjectKey, base: &str, seen: &Seen) {
        if let Some(old) = self.known().objects.get_mut(key).filter(|old| *old.version == *base) {
            *old = Kept::new(seen);
        }
    }

    /// What was last seen.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Seen> {
        let known = self.known();
        let kept = known.objects.get(key)?;
        Some(Seen { version: kept.version.to_string(), status: kept.status() })
    }

    /// The objects of a kind whose status is such.
    pub(crate) fn find(&self, kind: Kind, such: impl Fn(&Value) -> bool) -> Vec<ObjectKey> {
        let known = self.known();
        let found = known.objects.iter().filter(|(key, seen)| key.kind == kind && such(&seen.status()));
        found.map(|(key, _)| key.clone()).collect()
    }

    /// Notes the version of a kind that is served.
    pub(crate) fn serve(&self, kind: Kind, version: &'static str) {
        self.known().served.insert(kind, version);
    }

    /// The version of a kind that was served last: the preferred one where none was.
    pub(crate) fn served(&self, kind: Kind) -> &'static str {
        let served = self.known().served.get(&kind).copied();
        served.or(kind.versions().first().copied()).unwrap_or_default()
    }

    /// Hears of changes from now on. One listens at a time.
    pub(crate) fn listen(&self) -> Listening<'_> {
        self.known().changed = Some(HashSet::new());
        Listening(self)
    }

    fn tell(&self, mut known: MutexGuard<'_, Known>, key: &ObjectKey) {
        if let Some(changed) = &mut known.changed {
            changed.insert(key.clone());
            drop(known);
            self.news.notify_one();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears of changes. What waits to be heard is a set of objects: it cannot grow past what there is.
pub(crate) struct Listening<'o>(&'o Observed);

impl Listening<'_> {
    /// Objects that changed, or went, since this was last asked. Waits for some. Nothing is lost where the wait is given up.
    pub(crate) async fn changed(&self) -> HashSet<ObjectKey> {
        loop {
            let changed = self.0.known().changed.as_mut().map(std::mem::take).unwrap_or_default();
            if !changed.is_empty() {
                return changed;
            }
            self.0.news.notified().await;
        }
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.known().changed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tombolo_core::{NamespacedName, SourceId};

    fn key(kind: Kind) -> ObjectKey {
        ObjectKey { source: SourceId::new("here"), kind, name: NamespacedName::new("shop", "front") }
    }

    fn seen(version: &str) -> Seen {
        Seen { version: version.to_owned(), status: json!({"of": version}) }
    }

    #[tokio::test]
    async fn whoever_listens_hears_of_each_change_once() {
        let (observed, route) = (Observed::default(), key(Kind::HttpRoute));
        observed.see(&route, || seen("1")); // nobody listens
        let listening = observed.listen();
        observed.see(&route, || seen("1"));
        observed.see(&key(Kind::Service), || seen("2"));
        assert!(observed.known().changed.as_ref().is_some_and(HashSet::is_empty));
        observed.see(&route, || seen("3"));
        observed.see(&route, || seen("4"));
        assert_eq!(listening.changed().await, [route.clone()].into());
        observed.forget(&route);
        assert_eq!(listening.changed().await, [route.clone()].into());
        drop(listening);
        observed.see(&route, || seen("5"));
        assert!(observed.known().changed.is_none());
    }

    #[test]
    fn a_write_is_known_at_once_but_never_hides_what_is_newer() {
        let (observed, route) = (Observed::default(), key(Kind::HttpRoute));
        observed.written(&route, "1", &seen("2"));
        assert_eq!(observed.get(&route), None);
        observed.see(&route, || seen("1"));
        observed.written(&route, "1", &seen("2"));
        assert_eq!(observed.get(&route), Some(seen("2")));
        observed.see(&route, || seen("3"));
        observed.written(&route, "2", &seen("4"));
        assert_eq!(observed.get(&route), Some(seen("3")));
    }
}
