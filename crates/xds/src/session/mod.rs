//! One stream's protocol, pure: requests, changes and the time go in, responses come out. No IO, no clock, no locks.
//!
//! - `delta`, `world`: what a request means in either protocol.
//! - `channel`: one type's books; `items`: what is due or on its way, by name; `flight`: what is sent and not answered.
//! - `plan`: what goes out now and what waits: make before break.
//! - `respond`: what a response holds.
//! - `name_table`: all names in one, for clients that ask for that.
//! - `nack`: finding the resource that a client rejects.

mod channel;
mod delta;
mod flight;
mod held;
mod items;
mod message;
mod nack;
mod name_table;
mod plan;
mod respond;
#[cfg(test)]
mod tests;
mod world;

use crate::{
    Standing,
    config::Timing,
    index::{ConnectionId, Index, NAME_TABLE},
    mailbox::Letter,
};
pub(crate) use channel::Channel;
pub(crate) use held::Held;
pub(crate) use items::Items;
pub(crate) use message::{Ask, Event, Request, Response};
pub(crate) use name_table::NameTable;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tombolo_proto::{
    Framing, Ref, Resource, ResourceType, Scope, Version, envoy::envoy::config::endpoint::v3::ClusterLoadAssignment,
};

/// One stream.
#[derive(Debug)]
pub(crate) struct Session {
    connection: ConnectionId,
    framing: Framing,
    coalesce: Duration,
    warm: Duration,
    started: Instant,
    nonce: u64,
    /// By type; [`ResourceType::NameTable`] has books of its own.
    channels: [Option<Box<Channel>>; ResourceType::ALL.len()],
    name_table: Option<Box<NameTable>>,
    /// What clusters sent on this stream name, of types that the client has not asked for yet on this stream but did on an
    /// earlier one: it will say that it holds them, and must get them all the same.
    owed: HashSet<Ref>,
    /// When to poll again if nothing else happens.
    wake_at: Option<Instant>,
    events: Vec<Event>,
}

impl Session {
    /// A stream that has just begun.
    pub(crate) fn new(connection: ConnectionId, framing: Framing, timing: &Timing, now: Instant) -> Self {
        Self {
            connection,
            framing,
            coalesce: timing.coalesce,
            warm: timing.warm,
            started: now,
            nonce: 0,
            channels: Default::default(),
            name_table: None,
            owed: HashSet::new(),
            wake_at: None,
            events: Vec::new(),
        }
    }

    /// The client asks, or repeats what it asked for, in its protocol.
    pub(crate) fn ask(&mut self, kind: ResourceType, ask: Ask, index: &mut Index, now: Instant) {
        if kind == ResourceType::NameTable {
            return self.ask_name_table(&ask, index);
        }
        match ask {
            Ask::Delta { subscribe, unsubscribe, initial } => {
                self.ask_delta(kind, (&subscribe, &unsubscribe), initial, index, now);
            }
            Ask::World { names, version } => self.ask_world(kind, &names, &version, index, now),
        }
    }

    /// Whether [`Session::ask`] would do anything: most requests are answers, and repeat what is known.
    pub(crate) fn changes_anything(&self, kind: ResourceType, ask: &Ask, index: &Index) -> bool {
        if kind == ResourceType::NameTable {
            return self.changes_name_table(ask);
        }
        let Some(channel) = self.channel(kind) else { return true };
        match ask {
            Ask::Delta { subscribe, unsubscribe, .. } => !subscribe.is_empty() || !unsubscribe.is_empty(),
            Ask::World { names, .. } if names.is_empty() => {
                !channel.legacy && (channel.wildcard || !channel.names.is_empty())
            }
            Ask::World { names, .. } => {
                let known = |name: &String| index.id(kind, name).is_some_and(|id| channel.names.contains(id));
                channel.wildcard || names.len() as u64 != channel.names.len() || !names.iter().all(known)
            }
        }
    }

    /// Resources changed that the client asked for.
    pub(crate) fn changed(&mut self, letters: HashMap<(ResourceType, Arc<str>), Letter>, now: Instant) {
        for ((kind, name), letter) in letters {
            if kind == ResourceType::NameTable {
                self.names_changed();
            }
            let Some(channel) = &mut self.channels[kind as usize] else { continue };
            if !letter.is_void() {
                channel.change(kind, &name, (letter.before, letter.after), now, &mut self.events);
            }
        }
    }

    /// The client sees other scopes from now on: the difference is due.
    pub(crate) fn reclassify(&mut self, scopes: &[Scope], index: &mut Index, now: Instant) {
        let before = ResourceType::ALL.map(|kind| self.wanted(kind, index));
        index.set_scopes(self.connection, scopes);
        self.names_changed();
        for (kind, mut before) in ResourceType::ALL.into_iter().zip(before) {
            let after = self.wanted(kind, index);
            let Some(channel) = &mut self.channels[kind as usize] else { continue };
            for (name, after) in after {
                let letter = Letter { before: before.remove(&name).flatten(), after };
                if !letter.is_void() {
                    channel.change(kind, &name, (letter.before, letter.after), now, &mut self.events);
                }
            }
            for (name, old) in before {
                channel.change(kind, &name, (old, None), now, &mut self.events);
            }
        }
    }

    /// When to poll again if nothing else happens; as of the last poll that returned `None`.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// What happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// How many names are subscribed to.
    pub(crate) fn subscriptions(&self) -> u64 {
        self.channels.iter().flatten().map(|channel| channel.names.len()).sum()
    }

    /// One type's books, once the client has asked for it.
    pub(crate) fn channel(&self, kind: ResourceType) -> Option<&Channel> {
        self.channels[kind as usize].as_deref()
    }

    /// The stream is over: every subscription ends, and what was withheld is no more.
    pub(crate) fn close(&mut self, index: &mut Index) {
        for kind in ResourceType::ALL {
            let Some(mut channel) = self.channels[kind as usize].take() else { continue };
            channel.names.iter().for_each(|id| index.unsubscribe(self.connection, kind, id));
            let withheld: Vec<_> = channel.withheld.keys().cloned().collect();
            withheld.iter().for_each(|name| _ = channel.release(kind, name, &mut self.events));
        }
        self.close_name_table(index);
        index.disconnect(self.connection);
    }

    /// All that the client asked for: its name, the version that the client holds or will hold, and the one that it is to hold.
    pub(crate) fn holdings(
        &self,
        kind: ResourceType,
        index: &Index,
    ) -> Vec<(Arc<str>, Option<Version>, Option<Version>)> {
        if let (ResourceType::NameTable, Some(table)) = (kind, self.name_table()) {
            let held = table.flight.map(|(_, version)| version).or(table.accepted);
            let current = index.name_table(self.connection).map(|table| table.version());
            return vec![(NAME_TABLE.clone(), held, current)];
        }
        let Some(channel) = self.channel(kind) else { return Vec::new() };
        let holding = |(name, visible): (Arc<str>, Option<Arc<Resource>>)| {
            let held = channel.held(&name, visible.as_ref()).resource().map(|r| r.version());
            (name, held, visible.map(|r| r.version()))
        };
        self.wanted(kind, index).into_iter().map(holding).collect()
    }

    /// How far the client is with one resource.
    pub(crate) fn standing(&self, kind: ResourceType, name: &str, index: &Index) -> Standing {
        if let (ResourceType::NameTable, Some(table)) = (kind, self.name_table()) {
            return table.standing();
        }
        let Some(channel) = self.channel(kind) else { return Standing::Unasked };
        match self.wants(kind, name, index) {
            _ if channel.withheld.contains_key(name) => Standing::Rejected,
            // Of a full set that was rejected nobody knows what was taken.
            _ if channel.unsearchable || channel.is_due(name) => Standing::Due,
            None => Standing::Unasked,
            Some(None) => Standing::Absent,
            Some(Some(resource)) => Standing::Held(resource.version()),
        }
    }

    /// All that the client asked for and is there.
    pub(crate) fn contents(&self, kind: ResourceType, index: &Index) -> Vec<Arc<Resource>> {
        match (kind, self.name_table()) {
            (ResourceType::NameTable, Some(_)) => index.name_table(self.connection).into_iter().collect(),
            _ => self.wanted(kind, index).into_values().flatten().collect(),
        }
    }

    /// All that the client asked for, with what it sees there.
    fn wanted(&self, kind: ResourceType, index: &Index) -> HashMap<Arc<str>, Option<Arc<Resource>>> {
        let Some(channel) = self.channel(kind) else { return HashMap::new() };
        let all = channel.wildcard.then(|| index.list(self.connection, kind)).into_iter().flatten();
        let named = channel
            .names
            .iter()
            .filter_map(|id| Some((index.name(kind, id)?.clone(), index.visible(self.connection, kind, id).cloned())));
        all.map(|(_, resource)| (resource.name().clone(), Some(resource.clone()))).chain(named).collect()
    }

    /// Whether the client wants a name, and what it sees there.
    fn wants(&self, kind: ResourceType, name: &str, index: &Index) -> Option<Option<Arc<Resource>>> {
        let channel = self.channel(kind)?;
        let id = index.id(kind, name);
        let visible = id.and_then(|id| index.visible(self.connection, kind, id));
        let named = id.is_some_and(|id| channel.names.contains(id));
        (named || channel.wildcard && visible.is_some()).then(|| visible.cloned())
    }
}

/// Types whose clients ask for everything by naming nothing. A client that names no clusters, listeners or names wants all of them;
/// one that names no routes has none.
fn naming_nothing_is_everything(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Cluster | ResourceType::Listener | ResourceType::Name)
}

/// The answer where there are no endpoints: without one, Envoy would keep the cluster warming.
fn empty_assignment(name: &Arc<str>) -> Arc<Resource> {
    let message = ClusterLoadAssignment { cluster_name: name.to_string(), ..Default::default() };
    Arc::new(Resource::encode(ResourceType::Endpoints, name.clone(), &message, Vec::new()))
}
