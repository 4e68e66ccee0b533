//! How far clients are with one resource, for whoever judges what they reject.

use crate::{Class, ConnectionId, Hub};
use tombolo_proto::{ResourceType, Scope, Version};

/// How far a client is with one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not asked for it, or is gone.
    Unasked,
    /// It asked for it, and there is none.
    Absent,
    /// Something is on its way about it, or is to be sent: the client has not answered yet.
    Due,
    /// It has taken what it is to hold, which is of this version.
    Held(Version),
    /// It rejects it, and goes on with what it had.
    Rejected,
}

impl Hub {
    /// What a proxy sees; `None` where that is not known yet, or it is gone.
    pub fn class(&self, connection: ConnectionId) -> Option<Class> {
        self.find(connection)?.class().clone()
    }

    /// The connections that see a scope. The cost follows them.
    pub fn viewers(&self, scope: &Scope) -> Vec<ConnectionId> {
        self.index().viewers(scope)
    }

    /// The version of the resource that a scope holds under a name, if it holds one.
    pub fn version(&self, scope: &Scope, kind: ResourceType, name: &str) -> Option<Version> {
        self.index().held_by(scope, kind, name).map(|resource| resource.version())
    }

    /// How far a proxy is with one resource.
    pub fn standing(&self, connection: ConnectionId, kind: ResourceType, name: &str) -> Standing {
        let Some(connection) = self.find(connection) else { return Standing::Unasked };
        let session = connection.session();
        match session.standing(kind, name, &self.index()) {
            // Its session has not seen yet what it is to hold now.
            Standing::Held(_) if connection.mailbox.has(kind, name) => Standing::Due,
            standing => standing,
        }
    }
}
