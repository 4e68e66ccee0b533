//! What a session takes in and gives out, of either protocol.

use super::Held;
use std::sync::Arc;
use tombolo_proto::{Framing, Resource, ResourceType, Version};

/// A client's request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The nonce of the response that this answers; `None` where it answers none.
    pub(crate) nonce: Option<u64>,
    /// Why the client rejected that response; `None` where it accepted it.
    pub(crate) error: Option<String>,
    /// What it wants from now on.
    pub(crate) ask: Ask,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A difference to what it wanted.
    Delta {
        /// Names to add; `*` is everything.
        subscribe: Vec<Arc<str>>,
        /// Names to take away.
        unsubscribe: Vec<String>,
        /// What it holds, with versions; meant on a type's first request only.
        initial: Held,
    },
    /// All that it wants.
    World {
        /// Every name; none is everything, for some types and clients.
        names: Vec<String>,
        /// The version that it holds; empty where it holds nothing.
        version: String,
    },
}

impl Default for Ask {
    fn default() -> Self {
        Self::Delta { subscribe: Vec::new(), unsubscribe: Vec::new(), initial: Held::default() }
    }
}

/// A response to write.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The type of its resources.
    pub(crate) kind: ResourceType,
    /// Which protocol it is for.
    pub(crate) framing: Framing,
    /// Counts up per stream.
    pub(crate) nonce: u64,
    /// The version of all that the client holds of the type, once it has this. State-of-the-world only.
    pub(crate) version: Version,
    /// What is new or different.
    pub(crate) resources: Vec<Arc<Resource>>,
    /// What is gone. Delta only.
    pub(crate) removed: Vec<Arc<str>>,
}

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The client accepted a response.
    Acknowledged(ResourceType),
    /// The client rejected a response, for this reason.
    Refused(ResourceType, String),
    /// One resource was found to be the cause, and is withheld at this version.
    Withheld {
        /// Its type.
        kind: ResourceType,
        /// Its name.
        name: Arc<str>,
        /// The version that was rejected.
        version: Version,
        /// The client's words.
        message: String,
    },
    /// A resource is withheld at this version no more: it has changed, is gone or is not wanted.
    Released {
        /// Its type.
        kind: ResourceType,
        /// Its name.
        name: Arc<str>,
        /// The version that was rejected.
        version: Version,
    },
    /// A resource waited for clusters that did not get warm in time, and was sent without them.
    WaitedInVain {
        /// Its type.
        kind: ResourceType,
        /// Its name.
        name: Arc<str>,
        /// The clusters.
        clusters: Vec<Arc<str>>,
    },
}
