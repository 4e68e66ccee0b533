//! What is known of one kind, and what an event changes in it. No client.

use super::stored::Stored;
use crate::observed::{Observed, Seen};
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, HashSet};
use std::{net::Ipv4Addr, sync::Arc};
use tombolo_api::{Kind, ObjectKey, manifest};
use tombolo_controlplane::Edit;
use tombolo_core::{Host, NamespacedName, Problem, SourceId};

/// The objects of one kind that were seen, by the version that was taken in last.
pub(super) struct Inventory {
    kind: Kind,
    source: SourceId,
    known: BTreeMap<NamespacedName, Box<str>>,
    /// While a list is under way: who was in it so far.
    listing: Option<HashSet<NamespacedName>>,
    observed: Arc<Observed>,
}

/// What some events came to.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Objects that are new, different or gone.
    pub(super) edits: Vec<Edit>,
    /// What is wrong with each object that was read; empty where nothing is.
    pub(super) problems: Vec<(ObjectKey, Vec<Problem>)>,
    /// Addresses that hosts were given, as the objects state it.
    pub(super) allocated: Vec<(Host, Ipv4Addr)>,
    /// True once everything of the kind was read.
    pub(super) listed: bool,
}

impl Inventory {
    pub(super) fn new(kind: Kind, source: SourceId, observed: Arc<Observed>) -> Self {
        Self { kind, source, known: BTreeMap::new(), listing: None, observed }
    }

    /// The kind is served in this version.
    pub(super) fn served(&self, version: &'static str) {
        self.observed.serve(self.kind, version);
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, event: Event<Stored>, news: &mut News) {
        match event {
            Event::Init => self.listing = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(object.name());
                }
                self.apply(object, news);
            }
            Event::InitDone => {
                let listing = self.listing.take().unwrap_or_default();
                let gone: Vec<_> = self.known.keys().filter(|name| !listing.contains(*name)).cloned().collect();
                gone.into_iter().for_each(|name| self.forget(name, news));
                news.listed = true;
            }
            Event::Apply(object) => self.apply(object, news),
            Event::Delete(object) => self.forget(object.name(), news),
        }
    }

    fn apply(&mut self, mut object: Stored, news: &mut News) {
        let name = object.name();
        // A list that is made again brings mostly what is known.
        if self.known.get(&name).is_some_and(|version| **version == *object.version()) {
            return;
        }
        let version = object.version().to_owned();
        if self.kind == Kind::ServiceEntry {
            news.allocated.extend(object.allocated());
        }
        let status = object.take_status();
        let decoded = manifest::decode_stored(object.into_document(self.kind));
        // Known by the object's own texts: there are thousands, and each is kept once.
        let source = self.source;
        let key = decoded.object.as_ref().map_or_else(|| self.key(name), |object| object.key(source));
        self.known.insert(key.name.clone(), version.as_str().into());
        self.observed.see(&key, || Seen { version, status });
        news.problems.push((key, decoded.problems));
        // One that cannot be served leaves its last good content: see its problems.
        news.edits.extend(decoded.object.map(|object| Edit::Apply(object, None)));
    }

    fn forget(&mut self, name: NamespacedName, news: &mut News) {
        if self.known.remove(&name).is_none() {
            return;
        }
        let key = self.key(name);
        self.observed.forget(&key);
        news.problems.push((key.clone(), Vec::new()));
        news.edits.push(Edit::Delete(key));
    }

    fn key(&self, name: NamespacedName) -> ObjectKey {
        ObjectKey { source: self.source, kind: self.kind, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, version: &str, port: u16) -> Stored {
        let document = json!({
            "metadata": {"name": name, "namespace": "shop", "resourceVersion": version,
                "managedFields": [{"manager": "kubectl"}]},
            "spec": {"ports": [{"port": port}]}, "status": {"loadBalancer": {}},
        });
        serde_json::from_value(document).unwrap()
    }

    fn inventory() -> Inventory {
        Inventory::new(Kind::Service, SourceId::new("here"), Arc::default())
    }

    fn told(inventory: &mut Inventory, events: Vec<Event<Stored>>) -> (Vec<String>, bool) {
        let mut news = News::default();
        events.into_iter().for_each(|event| inventory.take(event, &mut news));
        let line = |edit: &Edit| match edit {
            Edit::Apply(object, _) => format!("+{}", object.metadata().name),
            Edit::Delete(key) => format!("-{}", key.name.name),
        };
        (news.edits.iter().map(line).collect(), news.listed)
    }

    #[test]
    fn a_list_that_is_made_again_tells_what_is_different_and_what_is_gone() {
        let mut all = inventory();
        let first = vec![
            Event::Init,
            Event::InitApply(service("a", "1", 80)),
            Event::InitApply(service("b", "2", 80)),
            Event::InitDone,
        ];
        assert_eq!(told(&mut all, first), (vec!["+a".into(), "+b".into()], true));
        let again = vec![Event::Init, Event::InitApply(service("b", "3", 81)), Event::InitDone];
        assert_eq!(told(&mut all, again), (vec!["+b".into(), "-a".into()], true));
        let same = vec![Event::Init, Event::InitApply(service("b", "3", 81)), Event::InitDone];
        assert_eq!(told(&mut all, same), (vec![], true));
    }

    #[test]
    fn an_entry_states_the_addresses_of_its_hosts() {
        let entry = json!({
            "metadata": {"name": "db", "namespace": "shop", "resourceVersion": "1"},
            "spec": {"hosts": ["db.example.com"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "resolution": "STATIC"},
            "status": {"addresses": [{"value": "240.240.0.7", "host": "db.example.com"},
                {"value": "2001:2::f0f0:7", "host": "db.example.com"}, {"value": "240.240.0.8"}]},
        });
        let mut entries = Inventory::new(Kind::ServiceEntry, SourceId::new("here"), Arc::default());
        let mut news = News::default();
        entries.take(Event::Apply(serde_json::from_value(entry).unwrap()), &mut news);
        assert_eq!(news.allocated, [(Host::parse("db.example.com").unwrap(), Ipv4Addr::new(240, 240, 0, 7))]);
    }

    #[test]
    fn half_a_list_removes_nothing() {
        let mut all = inventory();
        told(&mut all, vec![Event::Init, Event::InitApply(service("a", "1", 80)), Event::InitDone]);
        assert_eq!(
            told(&mut all, vec![Event::Init, Event::InitApply(service("b", "2", 80))]),
            (vec!["+b".into()], false)
        );
        // The watch was lost, and begins again.
        let whole = vec![Event::Init, Event::InitApply(service("b", "2", 80)), Event::InitDone];
        assert_eq!(told(&mut all, whole), (vec!["-a".into()], true));
    }

    #[test]
    fn what_cannot_be_served_keeps_its_last_good_content_and_says_why() {
        let mut all = inventory();
        told(&mut all, vec![Event::Apply(service("a", "1", 80))]);
        let mut news = News::default();
        all.take(Event::Apply(service("a", "2", 0)), &mut news);
        assert!(news.edits.is_empty());
        assert!(news.problems[0].1.iter().any(Problem::is_error), "{:?}", news.problems);
        all.take(Event::Delete(service("a", "3", 0)), &mut news);
        assert_eq!(news.edits.len(), 1);
    }
}
