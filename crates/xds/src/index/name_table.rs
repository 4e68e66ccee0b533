//! All names that a class of connections sees, in one resource, put together when somebody asks for it.
//!
//! It is as large as the mesh, so it is made only where it is asked for, once for all that see the same, and is forgotten with the
//! last of them that holds it.

use super::{ConnectionId, Index, ScopeId, Scopes};
use bytes::BytesMut;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};
use tombolo_proto::{Part, Resource, ResourceType, agent};

/// The name of the one resource of its type.
pub(crate) static NAME_TABLE: LazyLock<Arc<str>> = LazyLock::new(|| "nametable".into());

/// The tables that somebody holds.
#[derive(Default)]
pub(super) struct NameTables {
    /// Counts changes of names.
    tick: u64,
    made: Mutex<HashMap<Scopes, Made>>,
}

struct Made {
    /// Of the last change that is in it.
    tick: u64,
    table: Weak<Resource>,
}

impl NameTables {
    /// The moment of a change that is about to be made.
    pub(super) fn next(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }
}

impl Index {
    /// A name of a scope has changed: tells those who see the scope and asked for the table. It is not made here: they may not be
    /// ready for it, and more may change until they are.
    pub(super) fn names_changed(&mut self, scope: ScopeId, touched: &mut roaring::RoaringBitmap) {
        let tick = self.name_tables.next();
        let Some(at) = self.scopes.get_mut(scope) else { return };
        at.names_changed = tick;
        for number in at.wildcards.iter(ResourceType::NameTable as usize) {
            self.connections[number].mailbox.post(ResourceType::NameTable, &NAME_TABLE, None, None);
            touched.insert(number);
        }
    }

    /// All names that a connection sees; `None` where there is no such connection.
    pub(crate) fn name_table(&self, connection: ConnectionId) -> Option<Arc<Resource>> {
        let scopes = &self.connections.get(connection.0)?.scopes;
        let tick = scopes.iter().map(|scope| self.scopes[*scope].names_changed).max().unwrap_or_default();
        // Held while it is made: whoever needs the same waits, instead of making it too.
        let mut made = self.name_tables.made.lock().unwrap_or_else(PoisonError::into_inner);
        let current = made.get(scopes).filter(|made| made.tick == tick).and_then(|made| made.table.upgrade());
        if let Some(table) = current {
            return Some(table);
        }
        let table = Arc::new(self.assemble(connection));
        made.retain(|_, made| made.table.strong_count() > 0);
        made.insert(scopes.clone(), Made { tick, table: Arc::downgrade(&table) });
        Some(table)
    }

    fn assemble(&self, connection: ConnectionId) -> Resource {
        let mut names: Vec<&Arc<Resource>> = self.list(connection, ResourceType::Name).map(|(_, name)| name).collect();
        // The same names give the same bytes, in whatever order they came.
        names.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        let mut bytes = BytesMut::new();
        for name in names {
            let info = name.value();
            // An empty one hides what is no name here.
            if !info.is_empty() {
                agent::put_table_row(name.name(), &info, &mut bytes);
            }
        }
        let part = Arc::new(Part::from_bytes(bytes.freeze(), Vec::new()));
        Resource::assemble(ResourceType::NameTable, NAME_TABLE.clone(), vec![part])
    }
}
