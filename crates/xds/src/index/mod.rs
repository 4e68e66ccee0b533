//! Who sees which resource: every scope's resources, and the way back from a resource to the connections that it concerns.

mod by_type;
mod name_table;
mod table;
#[cfg(test)]
mod tests;

use crate::mailbox::Mailbox;
use by_type::ByType;
pub(crate) use name_table::NAME_TABLE;
use name_table::NameTables;
use roaring::RoaringBitmap;
use smallvec::SmallVec;
use std::{collections::HashMap, fmt, sync::Arc};
pub(crate) use table::NameId;
use table::Table;
use tombolo_core::{Slab, trim};
use tombolo_proto::{Change, Resource, ResourceType, Scope, Version};

/// One ADS stream, while it lasts. Ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ConnectionId(pub(crate) u32);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

type ScopeId = u32;
type Scopes = SmallVec<[ScopeId; 3]>;
const TYPES: usize = ResourceType::ALL.len();

/// Every resource and every subscription. Synchronous; the hub keeps it behind a lock.
#[derive(Default)]
pub(crate) struct Index {
    tables: [Table; TYPES],
    scope_ids: HashMap<Scope, ScopeId>,
    scopes: Slab<ScopeEntry>,
    connections: Slab<Connection>,
    name_tables: NameTables,
}

struct ScopeEntry {
    scope: Scope,
    /// What it holds.
    names: ByType,
    /// Who sees it.
    connections: RoaringBitmap,
    /// Who of them asked for everything of a type.
    wildcards: ByType,
    /// When one of its names changed last.
    names_changed: u64,
}

struct Connection {
    scopes: Scopes,
    wildcards: [bool; TYPES],
    mailbox: Arc<Mailbox>,
}

/// Publishing.
impl Index {
    /// Takes one change in, posts it to the connections that it concerns, and adds them to `touched`. Returns false where the
    /// scope held just that already.
    ///
    /// The cost follows the connections concerned, not the number of resources or connections.
    pub(crate) fn apply(&mut self, change: &Change, touched: &mut RoaringBitmap) -> bool {
        let kind = change.kind as usize;
        let scope = self.scope(&change.scope);
        let Some((id, old)) = self.tables[kind].set(scope, &change.name, change.resource.as_ref()) else {
            self.release_scope(scope);
            return false;
        };
        let same = old.as_ref().map(|r| r.version()) == change.resource.as_ref().map(|r| r.version());
        if !same {
            match change.resource {
                Some(_) => self.scopes[scope].names.insert(kind, id),
                None => self.scopes[scope].names.remove(kind, id),
            }
            self.post(scope, change, id, old.as_ref(), touched);
            if change.kind == ResourceType::Name {
                self.names_changed(scope, touched);
            }
        }
        self.tables[kind].release(id);
        self.release_scope(scope);
        !same
    }

    fn post(
        &self,
        scope: ScopeId,
        change: &Change,
        id: NameId,
        old: Option<&Arc<Resource>>,
        touched: &mut RoaringBitmap,
    ) {
        let kind = change.kind as usize;
        let (Some(entry), at) = (self.tables[kind].get(id), &self.scopes[scope]) else { return };
        let mut concerned = &entry.subscribers & &at.connections;
        at.wildcards.add_to(kind, &mut concerned);
        for number in concerned {
            let connection = &self.connections[number];
            let mut scopes = connection.scopes.iter();
            // An earlier scope's copy hides this one; a later scope's copy is what was hidden.
            if scopes.by_ref().take_while(|s| **s != scope).any(|s| entry.copy(*s).is_some()) {
                continue;
            }
            let hidden = || entry.visible(scopes.as_slice()).cloned();
            let (before, after) = match (old, &change.resource) {
                (Some(old), Some(new)) => (Some(old.clone()), Some(new.clone())),
                (Some(old), None) => (Some(old.clone()), hidden()),
                (None, Some(new)) => (hidden(), Some(new.clone())),
                (None, None) => continue,
            };
            connection.mailbox.post(change.kind, &entry.name, before, after);
            touched.insert(number);
        }
    }

    /// The mailboxes of these connections.
    pub(crate) fn mailboxes<'a>(&'a self, connections: &'a RoaringBitmap) -> impl Iterator<Item = &'a Arc<Mailbox>> {
        connections.iter().filter_map(|number| Some(&self.connections.get(number)?.mailbox))
    }
}

/// Connections and their subscriptions.
impl Index {
    /// Lets a connection in. It sees nothing until [`Index::set_scopes`].
    pub(crate) fn connect(&mut self, mailbox: Arc<Mailbox>) -> ConnectionId {
        let entry = Connection { scopes: SmallVec::new(), wildcards: [false; TYPES], mailbox };
        ConnectionId(self.connections.insert(entry))
    }

    /// Forgets a connection that has unsubscribed from every name.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.set_scopes(connection, &[]);
        self.connections.remove(connection.0);
    }

    /// What a connection sees from now on. Its subscriptions stay.
    pub(crate) fn set_scopes(&mut self, connection: ConnectionId, scopes: &[Scope]) {
        let new: Scopes = scopes.iter().map(|scope| self.scope(scope)).collect();
        let Some(entry) = self.connections.get_mut(connection.0) else { return };
        let old = std::mem::replace(&mut entry.scopes, new.clone());
        let wildcards = entry.wildcards;
        for scope in &old {
            let scope = &mut self.scopes[*scope];
            scope.connections.remove(connection.0);
            (0..TYPES).for_each(|kind| scope.wildcards.remove(kind, connection.0));
        }
        for scope in new {
            let scope = &mut self.scopes[scope];
            scope.connections.insert(connection.0);
            let asked = (0..TYPES).filter(|kind| wildcards[*kind]);
            asked.for_each(|kind| scope.wildcards.insert(kind, connection.0));
        }
        old.into_iter().for_each(|scope| self.release_scope(scope));
    }

    /// Whether a connection wants everything of a type that it sees.
    pub(crate) fn set_wildcard(&mut self, connection: ConnectionId, kind: ResourceType, wanted: bool) {
        let Some(entry) = self.connections.get_mut(connection.0) else { return };
        entry.wildcards[kind as usize] = wanted;
        for scope in &entry.scopes {
            let asked = &mut self.scopes[*scope].wildcards;
            if wanted {
                asked.insert(kind as usize, connection.0);
            } else {
                asked.remove(kind as usize, connection.0);
            }
        }
    }

    /// A connection wants this name. Returns the name's id and false where it did already.
    pub(crate) fn subscribe(&mut self, connection: ConnectionId, kind: ResourceType, name: &str) -> (NameId, bool) {
        self.tables[kind as usize].subscribe(connection, name)
    }

    /// A connection wants these names. Returns their ids, in order, each once.
    pub(crate) fn subscribe_all<'a>(
        &mut self,
        connection: ConnectionId,
        kind: ResourceType,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> Vec<NameId> {
        self.tables[kind as usize].subscribe_all(connection, names)
    }

    /// A connection wants this name no more.
    pub(crate) fn unsubscribe(&mut self, connection: ConnectionId, kind: ResourceType, id: NameId) {
        self.tables[kind as usize].unsubscribe(connection, id);
    }
}

/// Reading.
impl Index {
    /// A name's id, while it is held or wanted by anyone.
    pub(crate) fn id(&self, kind: ResourceType, name: &str) -> Option<NameId> {
        self.tables[kind as usize].id(name)
    }

    /// The name under an id.
    pub(crate) fn name(&self, kind: ResourceType, id: NameId) -> Option<&Arc<str>> {
        Some(&self.tables[kind as usize].get(id)?.name)
    }

    /// A name, kept once where it is held or wanted by anyone.
    pub(crate) fn shared_name(&self, kind: ResourceType, name: &str) -> Arc<str> {
        self.id(kind, name).and_then(|id| self.name(kind, id)).cloned().unwrap_or_else(|| name.into())
    }

    /// What some scope has under a name, of this version.
    pub(crate) fn copy(&self, kind: ResourceType, name: &str, version: Version) -> Option<&Arc<Resource>> {
        self.tables[kind as usize].get(self.id(kind, name)?)?.version(version)
    }

    /// What a scope holds under a name.
    pub(crate) fn held_by(&self, scope: &Scope, kind: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.tables[kind as usize].get(self.id(kind, name)?)?.copy(*self.scope_ids.get(scope)?)
    }

    /// What a connection sees under a name.
    pub(crate) fn visible(&self, connection: ConnectionId, kind: ResourceType, id: NameId) -> Option<&Arc<Resource>> {
        let scopes = &self.connections.get(connection.0)?.scopes;
        self.tables[kind as usize].get(id)?.visible(scopes)
    }

    /// Who sees a scope.
    pub(crate) fn viewers(&self, scope: &Scope) -> Vec<ConnectionId> {
        let entry = self.scope_ids.get(scope).map(|id| &self.scopes[*id]);
        entry.into_iter().flat_map(|entry| entry.connections.iter().map(ConnectionId)).collect()
    }

    /// Everything of a type that a connection sees, whether it asked for it or not.
    pub(crate) fn list(
        &self,
        connection: ConnectionId,
        kind: ResourceType,
    ) -> impl Iterator<Item = (NameId, &Arc<Resource>)> {
        let scopes = self.connections.get(connection.0).map_or(&[][..], |c| &c.scopes);
        let mut names = RoaringBitmap::new();
        for scope in scopes {
            self.scopes[*scope].names.add_to(kind as usize, &mut names);
        }
        let table = &self.tables[kind as usize];
        names.into_iter().filter_map(move |id| Some((id, table.get(id)?.visible(scopes)?)))
    }

    fn scope(&mut self, scope: &Scope) -> ScopeId {
        if let Some(id) = self.scope_ids.get(scope) {
            return *id;
        }
        let entry = ScopeEntry {
            scope: scope.clone(),
            names: Default::default(),
            connections: RoaringBitmap::new(),
            wildcards: Default::default(),
            // An id that is used again must not be taken for what it was.
            names_changed: self.name_tables.next(),
        };
        let id = self.scopes.insert(entry);
        self.scope_ids.insert(scope.clone(), id);
        id
    }

    fn release_scope(&mut self, id: ScopeId) {
        let unused = |s: &ScopeEntry| s.connections.is_empty() && s.names.is_empty();
        if let Some(entry) = self.scopes.remove_if(id, unused) {
            self.scope_ids.remove(&entry.scope);
            trim(&mut self.scope_ids);
        }
    }
}
