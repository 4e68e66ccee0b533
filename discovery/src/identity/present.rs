//! Which objects of one kind there are: names and UIDs alone, kept current by a watch of their metadata.

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::Stream;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tombolo_core::{NamespacedName, Uid};

/// Whoever was asked for and is not there is not asked for again so soon.
const ABSENT: Duration = Duration::from_secs(10);
/// So many of those are remembered.
const ABSENTEES: usize = 1024;

/// What is known. No client.
#[derive(Default)]
struct Memory {
    known: HashMap<NamespacedName, Uid>,
    uids: HashSet<Uid>,
    /// While a list is under way: who was in it so far.
    listing: Option<HashSet<NamespacedName>>,
    /// Who was asked for and was not there, and when.
    absent: HashMap<(NamespacedName, Option<Uid>), Instant>,
    failing: bool,
}

impl Memory {
    /// Takes an event in; true where it ends a list.
    fn take<K: Resource>(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => self.listing = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(name(&object));
                }
                self.apply(&object);
            }
            Event::InitDone => {
                let listing = self.listing.take().unwrap_or_default();
                let gone: Vec<_> = self.known.keys().filter(|name| !listing.contains(*name)).cloned().collect();
                gone.iter().for_each(|name| self.forget(name));
                self.failing = false;
                return true;
            }
            Event::Apply(object) => {
                self.failing = false;
                self.apply(&object);
            }
            Event::Delete(object) => self.forget(&name(&object)),
        }
        false
    }

    fn apply(&mut self, object: &impl Resource) {
        let Some(uid) = object.meta().uid.as_deref().and_then(Uid::parse) else { return };
        if let Some(old) = self.known.insert(name(object), uid) {
            self.uids.remove(&old);
        }
        self.uids.insert(uid);
    }

    fn forget(&mut self, name: &NamespacedName) {
        if let Some(uid) = self.known.remove(name) {
            self.uids.remove(&uid);
        }
    }

    fn holds(&self, name: &NamespacedName, uid: Option<Uid>) -> bool {
        self.known.get(name).is_some_and(|known| uid.is_none_or(|uid| uid == *known))
    }

    /// Whether the API server is to be asked for one that is not known.
    fn is_open(&self, key: &(NamespacedName, Option<Uid>), now: Instant) -> bool {
        self.absent.get(key).is_none_or(|asked| now.saturating_duration_since(*asked) >= ABSENT)
    }

    fn note_absent(&mut self, key: (NamespacedName, Option<Uid>), now: Instant) {
        if self.absent.len() >= ABSENTEES {
            self.absent.clear();
        }
        self.absent.insert(key, now);
    }
}

fn name(object: &impl Resource) -> NamespacedName {
    NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// The objects of a kind. A handle: clones are the same one.
pub(super) struct Present<K> {
    client: Client,
    memory: Arc<Mutex<Memory>>,
    listed: watch::Receiver<bool>,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K> Present<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// Follows them from now on, until it is dropped.
    pub(super) fn start(client: Client, kind: &'static str, metrics: &WatchMetrics) -> Self {
        let (told, listed) = watch::channel(false);
        let memory = Arc::<Mutex<Memory>>::default();
        let api = Api::<PartialObjectMeta<K>>::all(client.clone());
        let events = tombolo_kubernetes::watch::events(api, watcher::Config::default());
        let watched = Watched::new(metrics, kind, "identities");
        tokio::spawn(follow(events, watched, memory.clone(), told));
        Self { client, memory, listed, kind: std::marker::PhantomData }
    }

    /// Resolves once all were read.
    pub(super) async fn listed(&self) {
        _ = self.listed.clone().wait_for(|listed| *listed).await;
    }

    /// Whether one of this UID is known. `None` where that cannot be told, as nothing is heard of them.
    pub(super) fn knows(&self, uid: Uid) -> Option<bool> {
        let memory = self.memory();
        match memory.uids.contains(&uid) {
            true => Some(true),
            false => (!memory.failing).then_some(false),
        }
    }

    /// Whether one of this name, and UID if that counts, is there. One that is not known is asked for, as it may be new.
    ///
    /// # Errors
    /// It is not known, and the API server does not say.
    pub(super) async fn has(&self, name: NamespacedName, uid: Option<Uid>) -> kube::Result<bool> {
        let key = (name, uid);
        {
            let memory = self.memory();
            if memory.holds(&key.0, uid) {
                return Ok(true);
            }
            if !memory.is_open(&key, Instant::now()) {
                return Ok(false);
            }
        }
        let found = ask::<K>(&self.client, &key.0).await?;
        let has = found.is_some_and(|found| uid.is_none_or(|uid| Some(uid) == found));
        if !has {
            self.memory().note_absent(key, Instant::now());
        }
        Ok(has)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

/// The UID of an object that is there. The inner `None` is a UID that is not one of Kubernetes.
pub(super) async fn ask<K>(client: &Client, name: &NamespacedName) -> kube::Result<Option<Option<Uid>>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api = Api::<K>::namespaced(client.clone(), &name.namespace);
    let found: Option<PartialObjectMeta<K>> = api.get_metadata_opt(&name.name).await?;
    Ok(found.map(|found| found.metadata.uid.as_deref().and_then(Uid::parse)))
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut watched: Watched,
    memory: Arc<Mutex<Memory>>,
    told: watch::Sender<bool>,
) {
    let mut events = pin!(events);
    while !told.is_closed() {
        let Some(event) = watched.next(&mut events).await else { return };
        match watched.event(event) {
            Some(event) => {
                if lock(&memory).take(event) {
                    told.send_replace(true);
                }
            }
            None => lock(&memory).failing = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn uid(n: u8) -> String {
        format!("6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a{n:02}")
    }

    fn pod(name: &str, n: u8) -> PartialObjectMeta<Pod> {
        let metadata = json!({"name": name, "namespace": "shop", "uid": uid(n)});
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    fn holds(memory: &Memory, name: &str, n: u8) -> bool {
        memory.holds(&NamespacedName::new("shop", name), Uid::parse(&uid(n)))
    }

    #[test]
    fn uids_are_uuids() {
        assert!(Uid::parse(&uid(1)).is_some() && Uid::parse(&uid(1)) != Uid::parse(&uid(2)));
        for other in ["", "machine-1", "+f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a0", &uid(1)[1..], &format!("{}0", uid(1))] {
            assert_eq!(Uid::parse(other), None, "{other}");
        }
    }

    #[test]
    fn another_of_the_same_name_is_another() {
        let mut memory = Memory::default();
        memory.take(Event::Apply(pod("a", 1)));
        assert!(holds(&memory, "a", 1));
        memory.take(Event::Apply(pod("a", 2)));
        assert!(!holds(&memory, "a", 1) && holds(&memory, "a", 2));
        assert_eq!(memory.uids.len(), 1);
        memory.take(Event::Delete(pod("a", 2)));
        assert!(memory.uids.is_empty() && memory.known.is_empty());
    }

    #[test]
    fn a_list_made_again_tells_who_is_gone_once_it_is_whole() {
        let mut memory = Memory::default();
        [Event::Init, Event::InitApply(pod("a", 1)), Event::InitApply(pod("b", 2))]
            .into_iter()
            .for_each(|event| assert!(!memory.take(event)));
        assert!(memory.take(Event::<PartialObjectMeta<Pod>>::InitDone));
        memory.take(Event::<PartialObjectMeta<Pod>>::Init);
        memory.take(Event::InitApply(pod("b", 2)));
        assert!(holds(&memory, "a", 1));
        memory.take(Event::<PartialObjectMeta<Pod>>::InitDone);
        assert!(!holds(&memory, "a", 1) && holds(&memory, "b", 2));
    }

    #[test]
    fn whoever_is_not_there_is_asked_for_once_in_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let key = |n: usize| (NamespacedName::new("shop", format!("p{n}")), None);
        assert!(memory.is_open(&key(0), now));
        memory.note_absent(key(0), now);
        assert!(!memory.is_open(&key(0), now) && memory.is_open(&key(1), now));
        assert!(memory.is_open(&key(0), now + ABSENT));
        (0..3 * ABSENTEES).for_each(|n| memory.note_absent(key(n), now));
        assert!(memory.absent.len() <= ABSENTEES);
    }
}
