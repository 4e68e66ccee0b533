//! One type's books: what its client asked for, what is on its way to it, and what it is not known to hold.

use crate::stream::{
    shelf::{Kind, Name, Shelf},
    version::Version,
    wire::{Request, Resource},
};
use std::collections::{HashMap, HashSet, VecDeque};

/// `Cluster`: Envoy warms one that changed only when its endpoints and secrets come again after it.
pub(super) const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `Listener`: the last type that a starting Envoy asks for, but for what listeners name.
pub(super) const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// What clusters wait for.
const WARMING: [&str; 2] = [
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
];
/// The name that stands for everything.
pub(super) const EVERYTHING: &str = "*";
/// Responses that may be unanswered at once, per type. Beyond it the two oldest are one: an Envoy keeps its answer back for as long
/// as a cluster is warming, which may be for ever.
const MAX_FLIGHTS: usize = 16;
/// Upstream nonces that one joined response answers. The oldest of more are answered by the answers to those after them.
const MAX_ORIGINS: usize = 64;

/// One upstream stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// An upstream response that is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) link: LinkId,
    pub(super) nonce: String,
}

/// A response that the client has not answered yet.
#[derive(Debug)]
pub(super) struct Flight {
    /// The agent's.
    pub(super) nonce: u64,
    /// The upstream responses that it passes on. None: it is from the shelf, and then `added` has no bytes of what is held there.
    pub(super) origins: Vec<Origin>,
    pub(super) added: Vec<Resource>,
    pub(super) removed: Vec<Name>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) kind: Kind,
    /// Its client is in the agent.
    pub(super) own: bool,
    /// The client asks for everything by naming nothing.
    pub(super) legacy: bool,
    /// The client asked on its present stream.
    pub(super) asked: bool,
    /// Everything is subscribed to upstream ...
    pub(super) wildcard: bool,
    /// ... and the client asked for it on its present stream.
    pub(super) wildcard_asked: bool,
    /// What is subscribed to by name upstream, and whether the client asked for it on its present stream.
    pub(super) names: HashMap<Name, bool>,
    /// Upstream has answered for "everything": if the agent has nothing, there is nothing.
    pub(super) complete: bool,
    /// What the client may hold in some other version than the shelf: upstream is told that the version is unknown.
    pub(super) doubts: HashSet<Name>,
    /// What upstream sent and the client has not accepted, nor been sent: it is away, or did not ask. `None` is gone.
    pub(super) pending: HashMap<Name, Option<Resource>>,
    /// Names that a sink has not heard of yet: it is told a few at a time, so that a large table is never in memory twice.
    pub(super) backlog: Vec<Name>,
    /// What was sent and is not answered, oldest first.
    pub(super) flights: VecDeque<Flight>,
    /// The newest upstream response that went into `pending` while the client was away. One is left unanswered, so that upstream
    /// gathers what changes until the client is back.
    pub(super) outstanding: Option<Origin>,
}

impl Channel {
    pub(super) fn new(kind: Kind, own: bool) -> Self {
        Self {
            kind,
            own,
            legacy: false,
            asked: false,
            wildcard: false,
            wildcard_asked: false,
            names: HashMap::new(),
            complete: false,
            doubts: HashSet::new(),
            pending: HashMap::new(),
            backlog: Vec::new(),
            flights: VecDeque::new(),
            outstanding: None,
        }
    }

    /// Whether clusters wait for this type.
    pub(super) fn warms(&self) -> bool {
        WARMING.contains(&&*self.kind)
    }

    /// Something is subscribed to upstream.
    pub(super) fn is_subscribed(&self) -> bool {
        self.wildcard || !self.names.is_empty()
    }

    /// The client wants to hear of a name.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard_asked || self.names.get(name) == Some(&true)
    }

    /// Upstream may speak of a name.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains_key(name)
    }

    /// The version that the agent has, accepted or not.
    pub(super) fn version(&self, name: &str, shelf: &dyn Shelf) -> Option<Version> {
        match self.pending.get(name) {
            Some(pending) => pending.as_ref().map(|resource| resource.version.clone()),
            None => shelf.version(&self.kind, name),
        }
    }

    /// Every name that the agent has something of.
    pub(super) fn known(&self, shelf: &dyn Shelf) -> HashSet<Name> {
        self.pending.keys().cloned().chain(shelf.names(&self.kind)).collect()
    }

    /// The type's first request of an upstream stream: all subscriptions, and what is held.
    pub(super) fn opening(&self, shelf: &dyn Shelf) -> Request {
        let mut subscribe: Vec<String> = self.names.keys().map(ToString::to_string).collect();
        if self.wildcard && !(self.legacy && subscribe.is_empty()) {
            subscribe.push(EVERYTHING.to_owned());
        }
        Request {
            type_url: self.kind.to_string(),
            subscribe,
            initial_versions: self.claims(shelf),
            ..Request::default()
        }
    }

    /// What upstream is told that is held. Where that is not certain the version is empty, which a content version never
    /// is: upstream sends what it should be, or that it is gone.
    fn claims(&self, shelf: &dyn Shelf) -> HashMap<String, String> {
        let flown: HashSet<&Name> =
            self.flights.iter().filter(|f| !f.origins.is_empty()).flat_map(Flight::names).collect();
        let doubtful = |name: &Name| flown.contains(name) || self.doubts.contains(name);
        let mut claims = HashMap::new();
        for name in self.known(shelf).iter().filter(|name| self.covers(name)) {
            if let Some(version) = self.version(name, shelf).filter(|_| !doubtful(name)) {
                claims.insert(name.to_string(), version.to_string());
            }
        }
        for name in flown.iter().copied().chain(&self.doubts).filter(|name| self.covers(name)) {
            claims.insert(name.to_string(), String::new());
        }
        claims
    }

    /// Upstream's word on a name is kept until the client can be told.
    pub(super) fn keep(&mut self, name: Name, resource: Option<Resource>) {
        if self.covers(&name) {
            self.pending.insert(name, resource.map(Resource::detached));
        }
    }

    /// A response is on its way.
    pub(super) fn depart(&mut self, flight: Flight) {
        self.flights.push_back(flight);
        if self.flights.len() > MAX_FLIGHTS
            && let (Some(first), Some(second)) = (self.flights.pop_front(), self.flights.pop_front())
        {
            self.flights.push_front(first.join(second));
        }
    }

    /// The agent forgets a name, as the client has.
    pub(super) fn forget(&mut self, name: &str, shelf: &mut dyn Shelf) {
        shelf.remove(&self.kind, name);
        self.pending.remove(name);
        self.doubts.remove(name);
    }

    /// Forgets all names but those for which `keep` holds.
    pub(super) fn forget_unless(&mut self, keep: impl Fn(&Self, &str) -> bool, shelf: &mut dyn Shelf) {
        for name in self.known(shelf).into_iter().chain(self.doubts.clone()) {
            if !keep(self, &name) {
                self.forget(&name, shelf);
            }
        }
    }

    /// Drops what waits for a client that did not ask for it.
    pub(super) fn drop_unasked(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|name, _| self.wants(name));
        self.pending = pending;
    }

    /// Bytes that wait for the client.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.values().flatten().map(|resource| resource.bytes.len()).sum()
    }
}

impl Flight {
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.added.iter().map(|resource| &resource.name).chain(&self.removed)
    }

    /// Two responses as one, answered with the later.
    fn join(self, later: Self) -> Self {
        let newer: HashSet<Name> = later.names().cloned().collect();
        let added = self.added.into_iter().filter(|r| !newer.contains(&r.name)).chain(later.added).collect();
        let removed = self.removed.into_iter().filter(|name| !newer.contains(name)).chain(later.removed).collect();
        let mut origins: Vec<_> = self.origins.into_iter().chain(later.origins).collect();
        origins.drain(..origins.len().saturating_sub(MAX_ORIGINS));
        Self { nonce: later.nonce, origins, added, removed }
    }
}
