//! One type's resources under dense ids: which scopes hold a name, and who asked for it.

use super::{ConnectionId, ScopeId};
use roaring::RoaringBitmap;
use smallvec::SmallVec;
use std::{collections::HashMap, sync::Arc};
use tombolo_core::{Slab, room, trim};
use tombolo_proto::{Resource, Version};

/// A resource name of one type, interned. Valid while a scope holds the name or a connection is subscribed to it.
pub(crate) type NameId = u32;

/// All names of one type.
#[derive(Default)]
pub(super) struct Table {
    ids: HashMap<Arc<str>, NameId>,
    entries: Slab<Entry>,
}

/// One name.
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    /// Sorted by scope. Nearly always one.
    copies: SmallVec<[(ScopeId, Arc<Resource>); 1]>,
    /// Who asked for it by name. Those who asked for everything are kept with their scopes.
    pub(super) subscribers: RoaringBitmap,
}

impl Entry {
    /// What some scope holds under the name, of this version.
    pub(super) fn version(&self, version: Version) -> Option<&Arc<Resource>> {
        self.copies.iter().map(|(_, copy)| copy).find(|copy| copy.version() == version)
    }

    /// What this scope holds under the name.
    pub(super) fn copy(&self, scope: ScopeId) -> Option<&Arc<Resource>> {
        self.copies.binary_search_by_key(&scope, |(s, _)| *s).ok().map(|at| &self.copies[at].1)
    }

    /// What someone of these scopes sees under the name: the earliest scope wins.
    pub(super) fn visible(&self, scopes: &[ScopeId]) -> Option<&Arc<Resource>> {
        scopes.iter().find_map(|scope| self.copy(*scope))
    }

    fn unused(&self) -> bool {
        self.copies.is_empty() && self.subscribers.is_empty()
    }
}

impl Table {
    pub(super) fn id(&self, name: &str) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    pub(super) fn get(&self, id: NameId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Puts a scope's resource in or takes it out. Returns the name's id and what was there.
    pub(super) fn set(
        &mut self,
        scope: ScopeId,
        name: &Arc<str>,
        new: Option<&Arc<Resource>>,
    ) -> Option<(NameId, Option<Arc<Resource>>)> {
        let id = match new {
            Some(_) => self.intern(name),
            None => self.id(name)?,
        };
        let copies = &mut self.entries[id].copies;
        let old = match (copies.binary_search_by_key(&scope, |(s, _)| *s), new) {
            (Ok(at), Some(new)) => Some(std::mem::replace(&mut copies[at].1, new.clone())),
            (Ok(at), None) => {
                let old = copies.remove(at).1;
                if copies.capacity() / 2 >= room(copies.len()) {
                    copies.shrink_to_fit();
                }
                Some(old)
            }
            (Err(at), Some(new)) => {
                copies.insert(at, (scope, new.clone()));
                None
            }
            (Err(_), None) => None,
        };
        Some((id, old))
    }

    /// Returns the name's id and false where the connection was subscribed already.
    pub(super) fn subscribe(&mut self, connection: ConnectionId, name: &str) -> (NameId, bool) {
        let id = self.id(name).unwrap_or_else(|| self.intern(&name.into()));
        (id, self.entries[id].subscribers.insert(connection.0))
    }

    /// Returns the names' ids, in order, each once.
    pub(super) fn subscribe_all<'a>(
        &mut self,
        connection: ConnectionId,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> Vec<NameId> {
        let mut ids: Vec<_> = names.map(|name| self.id(name).unwrap_or_else(|| self.intern(name))).collect();
        ids.sort_unstable();
        ids.dedup();
        // In the order of memory: there may be thousands, from thousands of connections in the same moment.
        ids.iter().for_each(|id| _ = self.entries[*id].subscribers.insert(connection.0));
        ids
    }

    pub(super) fn unsubscribe(&mut self, connection: ConnectionId, id: NameId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.subscribers.remove(connection.0);
            self.release(id);
        }
    }

    /// Forgets a name that nobody holds or wants, so that churn does not grow the table.
    pub(super) fn release(&mut self, id: NameId) {
        if let Some(entry) = self.entries.remove_if(id, Entry::unused) {
            self.ids.remove(&entry.name);
            trim(&mut self.ids);
        }
    }

    fn intern(&mut self, name: &Arc<str>) -> NameId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let entry = Entry { name: name.clone(), copies: SmallVec::new(), subscribers: RoaringBitmap::new() };
        let id = self.entries.insert(entry);
        self.ids.insert(name.clone(), id);
        id
    }
}
