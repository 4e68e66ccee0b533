//! What a client's request means for one type: what it is to be sent from what the agent has, and what upstream is to be told.

use super::channel::{CLUSTER, Channel, EVERYTHING, LISTENER};
use crate::stream::{
    shelf::{Name, Shelf},
    wire::{Request, Resource},
};
use std::collections::HashMap;

/// Resources that a sink is told of at once when it begins.
const REPLAY: usize = if cfg!(test) { 2 } else { 256 };

/// What a request leads to.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) added: Vec<Resource>,
    pub(super) removed: Vec<Name>,
    /// An answer is due even if it is empty: the client waits for one.
    pub(super) answer: bool,
    /// For upstream, where it knows of the type already.
    pub(super) subscribe: Vec<String>,
    pub(super) unsubscribe: Vec<String>,
    /// The client does not hold what upstream may have been told.
    pub(super) doubted: bool,
    /// Clusters go out to a client that holds some.
    pub(super) replaces_clusters: bool,
}

impl Channel {
    /// `first`: it is the type's first request on the client's stream. `rewarm`: whatever the client holds goes out again.
    pub(super) fn ask(&mut self, request: Request, first: bool, rewarm: bool, shelf: &mut dyn Shelf) -> Due {
        let mut due = Due::default();
        let mut reported = if first { request.initial_versions } else { HashMap::new() };
        let resumed = !reported.is_empty();
        if rewarm {
            reported.clear();
        }
        let everything = request.subscribe.iter().any(|name| name == EVERYTHING);
        for name in request.unsubscribe {
            self.unsubscribe(name, &mut due, shelf);
        }
        for name in request.subscribe.into_iter().filter(|name| name != EVERYTHING) {
            self.subscribe(name, &mut reported, &mut due, shelf);
        }
        self.legacy |= first && !everything && self.names.is_empty() && self.names_nothing();
        if (self.legacy && first || everything) && !self.wildcard_asked {
            self.subscribe_all(&mut reported, &mut due, shelf);
            due.answer = !resumed && (self.complete || !due.added.is_empty());
        }
        due.replaces_clusters = resumed && &*self.kind == CLUSTER && !due.added.is_empty();
        due
    }

    /// Naming nothing is asking for everything: by the specification for clusters and listeners only, and so for types of our own.
    fn names_nothing(&self) -> bool {
        self.own || [CLUSTER, LISTENER].contains(&&*self.kind)
    }

    fn subscribe(
        &mut self,
        name: String,
        reported: &mut HashMap<String, String>,
        due: &mut Due,
        shelf: &mut dyn Shelf,
    ) {
        let known = self.names.insert(name.as_str().into(), true);
        let holds = reported.remove(&name);
        let key: Name = name.as_str().into();
        if known == Some(true) {
            // It asks for what it asked for before: upstream answers anew, if not now then on its next stream.
            self.doubts.insert(key.clone());
            self.offer(&key, None, due, shelf);
            return due.subscribe.push(name);
        }
        self.offer(&key, holds.as_deref(), due, shelf);
        let answered = self.version(&name, shelf).is_some() || self.doubts.contains(&key);
        if known.is_none() || !answered {
            due.subscribe.push(name);
        }
    }

    fn subscribe_all(&mut self, reported: &mut HashMap<String, String>, due: &mut Due, shelf: &mut dyn Shelf) {
        if !std::mem::replace(&mut self.wildcard, true) {
            due.subscribe.push(EVERYTHING.to_owned());
        }
        self.wildcard_asked = true;
        if self.own {
            self.backlog = shelf.names(&self.kind);
            return;
        }
        for name in self.known(shelf) {
            if !self.names.contains_key(&name) {
                let holds = reported.remove(&*name);
                self.offer(&name, holds.as_deref(), due, shelf);
            }
        }
        for name in reported.drain().map(|(name, _)| Name::from(name)) {
            due.doubted |= self.doubts.insert(name);
        }
    }

    /// The next few of the backlog.
    pub(super) fn replay(&mut self, shelf: &mut dyn Shelf) -> Due {
        let mut due = Due::default();
        let rest = self.backlog.len().saturating_sub(REPLAY);
        for name in self.backlog.split_off(rest) {
            self.offer(&name, None, &mut due, shelf);
        }
        due
    }

    fn unsubscribe(&mut self, name: String, due: &mut Due, shelf: &mut dyn Shelf) {
        if name == EVERYTHING {
            (self.wildcard, self.wildcard_asked, self.legacy) = (false, false, false);
            self.forget_unless(|channel, name| channel.names.contains_key(name), shelf);
        } else if self.names.remove(&*name).is_none() {
            return;
        } else if !self.wildcard {
            self.forget(&name, shelf);
        }
        due.unsubscribe.push(name);
    }

    /// The client wants to know about a name, and says which version it holds.
    ///
    /// A version that the agent does not have is believed: it is newer than what was kept, because what was kept was accepted before.
    fn offer(&mut self, name: &Name, holds: Option<&str>, due: &mut Due, shelf: &mut dyn Shelf) {
        match (self.pending.remove(name), holds) {
            (Some(Some(resource)), Some(held)) if resource.version.is(held) && !self.doubts.contains(name) => {
                self.accept(resource, shelf);
            }
            (Some(Some(resource)), _) => {
                due.added.push(resource.clone());
                self.pending.insert(name.clone(), Some(resource));
            }
            // It has nothing to remove, unless it took a part of what it rejected.
            (Some(None), None) if !self.names.contains_key(name) && !self.doubts.contains(name) => {
                shelf.remove(&self.kind, name);
            }
            (Some(None), _) => {
                due.removed.push(name.clone());
                self.pending.insert(name.clone(), None);
            }
            (None, Some(held)) => {
                if !shelf.version(&self.kind, name).is_some_and(|version| version.is(held)) {
                    due.doubted |= self.doubts.insert(name.clone());
                }
            }
            (None, None) if shelf.version(&self.kind, name).is_some() => match shelf.get(&self.kind, name) {
                Some(resource) => due.added.push(resource),
                // It cannot be read back.
                None => due.doubted |= self.doubts.insert(name.clone()),
            },
            (None, None) => {}
        }
    }

    /// The client holds this from now on.
    pub(super) fn accept(&mut self, mut resource: Resource, shelf: &mut dyn Shelf) {
        if resource.bytes.is_empty() {
            // From the shelf, or about to get there.
            let same = |pending: &Resource| pending.version == resource.version;
            if self.pending.get(&resource.name).and_then(Option::as_ref).is_some_and(same) {
                resource = self.pending.remove(&resource.name).flatten().unwrap_or(resource);
            } else if shelf.version(&self.kind, &resource.name) != Some(resource.version.clone()) {
                return;
            }
        }
        self.doubts.remove(&resource.name);
        if !resource.bytes.is_empty() && self.covers(&resource.name) && resource.value().is_some() {
            shelf.put(&self.kind, resource);
        }
    }
}
