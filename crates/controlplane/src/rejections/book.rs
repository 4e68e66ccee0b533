//! What each proxy of this replica rejects, and rejected a moment ago. No clock, no locks.
//!
//! A proxy that reconnects has rejected nothing yet on its new stream, and one that is sent something else has not answered yet. Both go
//! on with what they had before, so what they rejected stays noted until they say otherwise.

use super::{Part, PartAt};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tombolo_proto::Version;

/// How long a proxy that is gone may take to come back: longer than it waits before it connects again, as a rule.
const GRACE: Duration = Duration::from_secs(10);

/// A resource and one of its proxies, by name.
pub(super) type Entry = (Part, Arc<str>);

/// What has become of a resource that a proxy rejected, and does not reject now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// It has not answered what it was sent instead, which is of this version.
    Unanswered(Version),
    /// It has taken something else, or there is nothing to take.
    Settled,
    /// It is gone, or has not asked for it again. It would be sent this version.
    Gone(Version),
}

/// What a proxy says of a resource that it rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// What it rejects.
    pub(super) version: Version,
    /// Its words, on one line.
    pub(super) message: Arc<str>,
}

#[derive(Clone, Debug)]
struct Word {
    /// Of the version that it is to hold now, which counts as rejected in the same words until it answers.
    said: Said,
    /// When the proxy was first found not to reject it any more.
    until: Option<Instant>,
}

/// What proxies reject.
#[derive(Debug, Default)]
pub(super) struct Book(BTreeMap<Entry, Word>);

impl Book {
    /// Takes in all that is rejected now. `since` says what has become of what is not, and stood here. True where something else stands
    /// here now: the same words about another content are something else, as that was made from other objects.
    pub(super) fn update(
        &mut self,
        now_rejected: BTreeMap<Entry, Said>,
        mut since: impl FnMut(&Entry) -> Since,
        now: Instant,
    ) -> bool {
        let (before, mut changed) = (self.0.len(), false);
        self.0.retain(|entry, word| {
            if now_rejected.contains_key(entry) {
                return true;
            }
            let until = *word.until.get_or_insert(now);
            let (stays, version) = match since(entry) {
                Since::Unanswered(version) => (true, version),
                Since::Settled => return false,
                Since::Gone(version) => (now.saturating_duration_since(until) < GRACE, version),
            };
            changed |= std::mem::replace(&mut word.said.version, version) != version;
            stays
        });
        changed |= self.0.len() != before;
        for (entry, said) in now_rejected {
            let old = self.0.insert(entry, Word { said: said.clone(), until: None });
            changed |= old.is_none_or(|old| old.said != said);
        }
        changed
    }

    /// All that stands here: by resource, the proxies that reject it, with what they say.
    pub(super) fn parts(&self) -> BTreeMap<&Part, Vec<(&str, &Said)>> {
        let mut parts = BTreeMap::<&Part, Vec<(&str, &Said)>>::new();
        for ((part, proxy), word) in &self.0 {
            parts.entry(part).or_default().push((proxy, &word.said));
        }
        parts
    }

    /// The same of each content by itself: the proxies' words.
    pub(super) fn versions(&self) -> BTreeMap<PartAt, Vec<&str>> {
        let mut versions = BTreeMap::<PartAt, Vec<&str>>::new();
        for ((part, _), Word { said, .. }) in &self.0 {
            let at = PartAt { part: part.clone(), version: said.version };
            versions.entry(at).or_default().push(&said.message);
        }
        versions
    }

    /// True where nothing is rejected.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_proto::{ResourceType, Scope};

    fn entry(proxy: &str) -> Entry {
        let part = Part { scope: Scope::gateway("shop", "edge"), kind: ResourceType::Listener, name: "80".into() };
        (part, proxy.into())
    }

    const FIRST: Version = Version(1);
    const UNANSWERED: Since = Since::Unanswered(FIRST);
    const GONE: Since = Since::Gone(FIRST);

    fn said(version: Version) -> Said {
        Said { version, message: "no".into() }
    }

    struct Told(Book, Instant);

    impl Told {
        /// So many seconds later, these proxies reject it, and of the others this is so. Returns who rejects it.
        fn after(&mut self, seconds: u64, rejects: &[&str], others: Since) -> Vec<String> {
            self.1 += Duration::from_secs(seconds);
            let now_rejected = rejects.iter().map(|proxy| (entry(proxy), said(FIRST))).collect();
            let (before, changed) = (self.rejecting(), self.0.update(now_rejected, |_| others, self.1));
            assert_eq!(changed, before != self.rejecting());
            self.rejecting()
        }

        fn rejecting(&self) -> Vec<String> {
            self.0.parts().into_values().flatten().map(|(proxy, _)| proxy.to_owned()).collect()
        }
    }

    #[test]
    fn who_reconnects_is_told_all_the_while() {
        let mut told = Told(Book::default(), Instant::now());
        assert_eq!(told.after(0, &["p"], GONE), ["p"]);
        assert_eq!(told.after(1, &[], GONE), ["p"], "its stream ended");
        assert_eq!(told.after(8, &[], UNANSWERED), ["p"], "it is sent it again");
        assert_eq!(told.after(1, &["p"], GONE), ["p"]);
        assert_eq!(told.after(100, &[], GONE), ["p"], "the time begins anew");
    }

    #[test]
    fn who_takes_something_else_rejects_nothing() {
        let mut told = Told(Book::default(), Instant::now());
        told.after(0, &["p", "q"], GONE);
        assert_eq!(told.after(100, &["q"], UNANSWERED), ["p", "q"], "as long as it takes to answer");
        assert_eq!(told.after(0, &["q"], Since::Settled), ["q"]);
        assert!(told.after(0, &[], Since::Settled).is_empty() && told.0.is_empty());
    }

    #[test]
    fn the_same_words_about_another_content_are_news() {
        let (mut book, now, second) = (Book::default(), Instant::now(), Version(2));
        let rejects = |version| BTreeMap::from([(entry("p"), said(version))]);
        assert!(book.update(rejects(FIRST), |_| Since::Settled, now));
        assert!(!book.update(rejects(FIRST), |_| Since::Settled, now));
        assert!(book.update(rejects(second), |_| Since::Settled, now));
        assert!(book.update(BTreeMap::new(), |_| Since::Unanswered(FIRST), now), "it is sent what it was sent before");
        assert!(!book.update(rejects(FIRST), |_| Since::Settled, now), "as was to be expected");
        assert!(book.update(BTreeMap::new(), |_| Since::Gone(second), now));
        assert_eq!(book.versions().into_keys().map(|at| at.version).collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn who_stays_away_is_forgotten() {
        let mut told = Told(Book::default(), Instant::now());
        told.after(0, &["p"], GONE);
        told.after(0, &[], GONE);
        assert_eq!(told.after(9, &[], GONE), ["p"]);
        assert!(told.after(1, &[], GONE).is_empty());
    }
}
