//! Which namespaces there are, what stands in them, and what is therefore to be written. No client.

use super::{
    super::version::is_newer,
    standing::{Refused, Standing},
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{ResourceExt, core::PartialObjectMeta, runtime::watcher::Event};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Who writes.
pub(super) const MANAGER: &str = "tombolo-writer";
/// The ConfigMaps: ours, and the one that Istio's agents read.
pub(super) const NAMES: [&str; 2] = ["tombolo-ca-root-cert", "istio-ca-root-cert"];
/// The roots, PEM.
pub(super) const KEY: &str = "root-cert.pem";
/// Somebody who changes what we put back as often as this wants it otherwise: it is left to them.
const PATIENCE: u8 = 3;

/// One ConfigMap: its namespace, and which of [`NAMES`].
pub(super) type Place = (Arc<str>, usize);

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) place: Place,
    /// The version that is to be changed; `None` where it is to be made.
    pub(super) base: Option<String>,
}

/// A ConfigMap as last seen.
struct Held {
    version: String,
    ours: bool,
    content: Option<Arc<str>>,
}

/// Everything that counts.
#[derive(Default)]
pub(super) struct Ledger {
    /// Those that are not being deleted.
    namespaces: BTreeSet<Arc<str>>,
    maps: BTreeMap<Place, Held>,
    /// How often each was put back for the roots of now.
    put_back: BTreeMap<Place, u8>,
    /// What the API server did not take when it was last asked to.
    refused: BTreeMap<Place, Refused>,
    /// While lists are under way: what was in them so far.
    listing: Option<BTreeSet<Arc<str>>>,
    listings: [Option<BTreeSet<Arc<str>>>; NAMES.len()],
    listed: BTreeSet<usize>,
    bundle: Arc<str>,
}

impl Ledger {
    /// The roots are these from now on.
    pub(super) fn roots(&mut self, bundle: Arc<str>) {
        if self.bundle != bundle {
            self.bundle = bundle;
            self.put_back.clear();
        }
    }

    /// Of namespaces.
    pub(super) fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) {
        match event {
            Event::Init => self.listing = Some(BTreeSet::new()),
            Event::InitApply(namespace) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(namespace.name_any().into());
                }
                self.keep(&namespace);
            }
            Event::InitDone => {
                let listing = self.listing.take().unwrap_or_default();
                self.namespaces.retain(|name| listing.contains(name));
                self.listed.insert(NAMES.len());
            }
            Event::Apply(namespace) => self.keep(&namespace),
            Event::Delete(namespace) => drop(self.namespaces.remove(&*namespace.name_any())),
        }
    }

    fn keep(&mut self, namespace: &PartialObjectMeta<Namespace>) {
        let name = namespace.name_any().into();
        match namespace.metadata.deletion_timestamp {
            Some(_) => drop(self.namespaces.remove(&name)),
            None => drop(self.namespaces.insert(name)),
        }
    }

    /// Of the ConfigMaps of one name.
    pub(super) fn map(&mut self, which: usize, event: Event<ConfigMap>) {
        match event {
            Event::Init => self.listings[which] = Some(BTreeSet::new()),
            Event::InitApply(map) => {
                if let Some(listing) = &mut self.listings[which] {
                    listing.insert(map.namespace().unwrap_or_default().into());
                }
                self.see(which, &map);
            }
            Event::InitDone => {
                let listing = self.listings[which].take().unwrap_or_default();
                self.maps.retain(|(namespace, of), _| *of != which || listing.contains(namespace));
                self.listed.insert(which);
            }
            Event::Apply(map) => self.see(which, &map),
            Event::Delete(map) => drop(self.maps.remove(&(map.namespace().unwrap_or_default().into(), which))),
        }
    }

    /// One as it is now, as a watch or the answer to a write has it.
    pub(super) fn see(&mut self, which: usize, map: &ConfigMap) {
        let place = (Arc::from(map.namespace().unwrap_or_default()), which);
        let version = map.resource_version().unwrap_or_default();
        if self.maps.get(&place).is_some_and(|held| is_newer(&held.version, &version)) {
            return;
        }
        let ours = map.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some(MANAGER));
        let content = map.data.as_ref().and_then(|data| data.get(KEY)).map(|text| self.interned(text));
        self.refused.remove(&place);
        self.maps.insert(place, Held { version, ours, content });
    }

    /// Almost all have the same content.
    fn interned(&self, text: &str) -> Arc<str> {
        if *text == *self.bundle { self.bundle.clone() } else { text.into() }
    }

    /// The namespace takes nothing any more.
    pub(super) fn closed(&mut self, namespace: &str) {
        self.namespaces.remove(namespace);
    }

    /// One was written although it was there: somebody else had changed it, or the roots are others.
    pub(super) fn put_back(&mut self, place: Place) {
        let times = self.put_back.entry(place).or_default();
        *times = times.saturating_add(1);
    }

    /// The API server does not take one. True where that is news: it did not refuse it before, or for another reason.
    pub(super) fn refused(&mut self, place: Place, refused: Refused) -> bool {
        let same = self.refused.get(&place).is_some_and(|known| known.is_like(&refused));
        if !same {
            self.refused.insert(place, refused);
        }
        !same
    }

    /// How publishing stands. `None` while that is not known: not everything was read, or something can be written yet.
    pub(super) fn standing(&mut self) -> Option<Standing> {
        let (namespaces, refused) = (&self.namespaces, &mut self.refused);
        refused.retain(|(namespace, _), _| namespaces.contains(namespace));
        self.put_back.retain(|(namespace, _), _| namespaces.contains(namespace));
        let settled = self.is_read() && self.due().iter().all(|write| self.refused.contains_key(&write.place));
        settled.then(|| Standing { foreign: self.foreign(), refused: self.refused.clone() })
    }

    fn is_read(&self) -> bool {
        self.listed.len() > NAMES.len() && !self.bundle.is_empty()
    }

    /// What is to be written now; nothing before everything was read.
    pub(super) fn due(&self) -> Vec<Write> {
        if !self.is_read() {
            return Vec::new();
        }
        let wanted = self.places().filter(|place| !self.is_foreign(place));
        wanted
            .filter_map(|place| match self.maps.get(&place) {
                None => Some(Write { place, base: None }),
                Some(held) if held.content.as_deref() == Some(&*self.bundle) => None,
                Some(held) => Some(Write { base: Some(held.version.clone()), place }),
            })
            .collect()
    }

    /// Those that are somebody else's, and are left alone.
    pub(super) fn foreign(&self) -> BTreeSet<Place> {
        self.places().filter(|place| self.is_foreign(place)).collect()
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        self.namespaces.iter().flat_map(|namespace| (0..NAMES.len()).map(|which| (namespace.clone(), which)))
    }

    fn is_foreign(&self, place: &Place) -> bool {
        let Some(held) = self.maps.get(place) else { return false };
        let contested = self.put_back.get(place).is_some_and(|times| *times > PATIENCE);
        !held.ours || (contested && held.content.as_deref() != Some(&*self.bundle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn namespace(name: &str, ends: bool) -> PartialObjectMeta<Namespace> {
        let ends = ends.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({"metadata": {"name": name, "deletionTimestamp": ends}})).unwrap()
    }

    fn map(namespace: &str, which: usize, version: &str, manager: &str, content: &str) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": NAMES[which], "namespace": namespace, "resourceVersion": version,
                "managedFields": [{"manager": manager}]},
            "data": {KEY: content},
        }))
        .unwrap()
    }

    /// Everything was read: these namespaces, and no ConfigMap.
    fn ledger(namespaces: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.roots("roots".into());
        ledger.namespace(Event::Init);
        for name in namespaces {
            ledger.namespace(Event::InitApply(namespace(name, false)));
        }
        ledger.namespace(Event::InitDone);
        for which in 0..NAMES.len() {
            assert!(ledger.due().is_empty(), "not everything was read");
            ledger.map(which, Event::Init);
            ledger.map(which, Event::InitDone);
        }
        ledger
    }

    fn due(ledger: &Ledger) -> Vec<(String, usize, Option<String>)> {
        ledger.due().into_iter().map(|w| (w.place.0.to_string(), w.place.1, w.base)).collect()
    }

    #[test]
    fn every_namespace_gets_both_and_nothing_is_written_again() {
        let mut ledger = ledger(&["a"]);
        assert_eq!(due(&ledger), [("a".into(), 0, None), ("a".into(), 1, None)]);
        (0..2).for_each(|which| ledger.see(which, &map("a", which, "5", MANAGER, "roots")));
        assert!(due(&ledger).is_empty());
        ledger.namespace(Event::Apply(namespace("b", false)));
        assert_eq!(due(&ledger).len(), 2, "the new one");
        ledger.namespace(Event::Apply(namespace("b", true)));
        assert!(due(&ledger).is_empty(), "it is being deleted");
        ledger.roots("others".into());
        assert_eq!(due(&ledger), [("a".into(), 0, Some("5".into())), ("a".into(), 1, Some("5".into()))]);
    }

    #[test]
    fn what_drifts_is_put_back_and_what_is_removed_is_made_again() {
        let mut ledger = ledger(&["a"]);
        (0..2).for_each(|which| ledger.see(which, &map("a", which, "5", MANAGER, "roots")));
        ledger.map(0, Event::Apply(map("a", 0, "6", MANAGER, "mine")));
        assert_eq!(due(&ledger), [("a".into(), 0, Some("6".into()))]);
        ledger.see(0, &map("a", 0, "7", MANAGER, "roots"));
        ledger.map(0, Event::Apply(map("a", 0, "6", MANAGER, "mine")));
        assert!(due(&ledger).is_empty(), "old news");
        ledger.map(0, Event::Delete(map("a", 0, "8", MANAGER, "roots")));
        assert_eq!(due(&ledger), [("a".into(), 0, None)]);
    }

    #[test]
    fn what_is_anothers_is_left_alone() {
        let mut ledger = ledger(&["a"]);
        ledger.map(0, Event::Apply(map("a", 0, "5", MANAGER, "roots")));
        ledger.map(1, Event::Apply(map("a", 1, "5", "pilot-discovery", "istio's")));
        assert!(due(&ledger).is_empty());
        assert_eq!(ledger.foreign().into_iter().collect::<Vec<_>>(), [("a".into(), 1)]);
    }

    #[test]
    fn the_reason_is_the_present_one() {
        let mut ledger = ledger(&["a"]);
        let place = |which| (Arc::from("a"), which);
        let refused = |why: &str| Refused { why: why.to_owned(), fix: "see to it" };
        let why = |ledger: &mut Ledger| {
            ledger.standing().unwrap().refused.into_values().map(|refused| refused.why).collect::<Vec<_>>()
        };
        assert!(ledger.refused(place(0), refused("exceeded quota, used 3 of 3")));
        assert!(ledger.refused(place(1), refused("a webhook denied it")));
        assert!(!ledger.refused(place(0), refused("exceeded quota, used 4 of 3")), "the same in other figures");
        assert_eq!(why(&mut ledger), ["exceeded quota, used 3 of 3", "a webhook denied it"]);
        assert!(ledger.refused(place(0), refused("a webhook denied it")));
        assert_eq!(why(&mut ledger), ["a webhook denied it", "a webhook denied it"]);
        ledger.see(0, &map("a", 0, "5", MANAGER, "roots"));
        assert_eq!(why(&mut ledger), ["a webhook denied it"], "the first is mended");
    }

    #[test]
    fn nobody_is_fought_for_ever() {
        let mut ledger = ledger(&["a"]);
        ledger.see(1, &map("a", 1, "1", MANAGER, "roots"));
        for round in 0..8 {
            ledger.see(0, &map("a", 0, &(10 + round).to_string(), MANAGER, "mine"));
            for write in ledger.due() {
                ledger.put_back(write.place);
            }
        }
        assert!(due(&ledger).is_empty());
        assert_eq!(ledger.foreign().len(), 1);
        ledger.roots("others".into());
        assert_eq!(due(&ledger).len(), 2, "new roots are worth a try");
    }

    #[test]
    fn a_fight_is_forgotten_with_its_namespace() {
        let mut ledger = ledger(&["a"]);
        (0..=PATIENCE).for_each(|_| ledger.put_back(("a".into(), 0)));
        ledger.namespace(Event::Delete(namespace("a", true)));
        ledger.standing();
        assert!(ledger.put_back.is_empty());
    }

    #[test]
    fn a_list_made_again_tells_what_is_gone() {
        let mut ledger = ledger(&["a", "b"]);
        for name in ["a", "b"] {
            (0..2).for_each(|which| ledger.see(which, &map(name, which, "5", MANAGER, "roots")));
        }
        ledger.map(0, Event::Init);
        ledger.map(0, Event::InitApply(map("a", 0, "5", MANAGER, "roots")));
        ledger.map(0, Event::InitDone);
        assert_eq!(due(&ledger), [("b".into(), 0, None)]);
        ledger.namespace(Event::Init);
        ledger.namespace(Event::InitApply(namespace("a", false)));
        ledger.namespace(Event::InitDone);
        assert!(due(&ledger).is_empty());
    }
}
