//! The protocol between Envoy, the control plane and what is kept, pure: events go in, actions come out. No IO, no clock.
//!
//! Responses of the control plane are passed on one by one, and answered as Envoy answers them: its make-before-break and its search
//! for rejected resources depend on that. Besides, a client that comes is served from the shelf at once, whether the
//! control plane is there or not; what differs follows.
//!
//! - `channel`: one type's books; `ask`: what a request means there.
//! - `client`: what Envoy, or a sink in the agent, asks and answers.
//! - `upstream`: streams to the control plane: opened, replaced make-before-break, lost.
//!
//! **While Envoy is away** what the control plane sends waits, the latest of each resource, and of each type one response stays
//! unanswered: so a control plane that gathers changes until it is answered goes on doing so.
//!
//! **What upstream believes is what the shelf holds.** Where that is not certain (a response is unanswered, was rejected, which Envoy
//! applies in part, or Envoy reports something else) the name is in doubt, and upstream is told a version that nothing has. Where
//! upstream was told already, it is told anew: the stream is closed, and opened again.

mod ask;
mod channel;
mod client;
#[cfg(test)]
pub(super) mod tests;
mod upstream;

use super::{
    shelf::{Kind, Shelf},
    wire::{Request, Response},
};
use bytes::Bytes;
use channel::Channel;
pub(crate) use channel::LinkId;
use std::collections::{BTreeMap, BTreeSet};
pub use upstream::Report;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Envoy has opened a stream. One that was open counts no more.
    EnvoyOpened,
    /// Envoy's stream is over.
    EnvoyClosed,
    /// Envoy asks or answers.
    Envoy(Request),
    /// A sink asks, once, or answers.
    Sink(Request),
    /// A stream to the control plane is open. Where there is one already, it is to replace it.
    LinkOpened(LinkId),
    /// A stream to the control plane is over.
    LinkClosed(LinkId),
    /// The control plane said something.
    Response(LinkId, Response),
    /// The control plane has said nothing for so long that it will have said all that differs.
    Quiet(LinkId),
    /// The workload's health is now this.
    Health(Report),
    /// Envoy has had time to ask for all that it wants: what it did not ask for is dropped.
    Prune,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Write to Envoy.
    Envoy(Response),
    /// Hand to the sink of the type, whose answer is an [`Event::Sink`].
    Sink(Response),
    /// Write to the control plane.
    Link(LinkId, Request),
    /// End a stream to the control plane; no [`Event::LinkClosed`] is due.
    Close(LinkId),
    /// End Envoy's stream: it asks for more than it may. No [`Event::EnvoyClosed`] is due.
    RefuseEnvoy(String),
    /// For the books of people.
    Note(Note),
}

/// What people count and look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A client accepted a response of this type.
    Accepted(Kind),
    /// A client rejected a response of this type, in these words.
    Rejected(Kind, String),
    /// The control plane must be told anew what is held, because of this.
    Resync(&'static str),
}

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Names that Envoy may subscribe to, all types together.
    pub(crate) subscriptions: usize,
    /// Types that it may subscribe to.
    pub(crate) types: usize,
    /// Bytes of resources that wait for Envoy to come.
    pub(crate) pending: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Relay {
    node: Bytes,
    bounds: Bounds,
    channels: BTreeMap<Kind, Channel>,
    /// Envoy's stream is open.
    envoy: bool,
    /// On its present stream Envoy was sent clusters that it holds in another version: endpoints and secrets go out again.
    rewarm: bool,
    current: Option<Link>,
    /// What is to replace `current`.
    candidate: Option<Link>,
    /// What `current` said since `candidate` was told what is held: for Envoy only if the candidate fails.
    parked: Vec<Response>,
    /// More waited for Envoy than may be kept: upstream is to say it again.
    missed: bool,
    nonce: u64,
    health: Option<Report>,
    /// The newest report that counts.
    acknowledged: Option<u64>,
    actions: Vec<Action>,
}

/// A stream to the control plane.
#[derive(Debug)]
struct Link {
    id: LinkId,
    /// It has had a request, and thereby the node.
    introduced: bool,
    /// The types that were asked for on it.
    opened: BTreeSet<Kind>,
    /// It has said something about resources.
    heard: bool,
    /// It has said all that differs.
    confirmed: bool,
}

impl Relay {
    /// `node` is the encoded node that upstream is told.
    pub(crate) fn new(node: Bytes, bounds: Bounds) -> Self {
        Self {
            node,
            bounds,
            channels: BTreeMap::new(),
            envoy: false,
            rewarm: false,
            current: None,
            candidate: None,
            parked: Vec::new(),
            missed: false,
            nonce: 0,
            health: None,
            acknowledged: None,
            actions: Vec::new(),
        }
    }

    /// Takes in an event.
    pub(crate) fn handle(&mut self, event: Event, shelf: &mut dyn Shelf) -> Vec<Action> {
        match event {
            Event::EnvoyOpened => {
                self.envoy_closed();
                self.envoy = true;
            }
            Event::EnvoyClosed => self.envoy_closed(),
            // A type that the agent asks for itself is not for Envoy.
            Event::Envoy(request) if self.is_own(&request.type_url) => {}
            Event::Envoy(request) if self.envoy => self.client(request, false, shelf),
            Event::Envoy(_) => {}
            Event::Sink(request) => self.client(request, true, shelf),
            Event::LinkOpened(id) => self.link_opened(id, shelf),
            Event::LinkClosed(id) => self.link_closed(id),
            Event::Response(id, response) => self.response(id, response),
            Event::Quiet(id) => self.quiet(id),
            Event::Health(report) => self.report(report),
            Event::Prune => self.prune(shelf),
        }
        std::mem::take(&mut self.actions)
    }

    /// The stream to the control plane that counts.
    pub(crate) fn current(&self) -> Option<LinkId> {
        self.current.as_ref().map(|link| link.id)
    }

    /// The stream that is to replace it.
    pub(crate) fn candidate(&self) -> Option<LinkId> {
        self.candidate.as_ref().map(|link| link.id)
    }

    /// The control plane is there, and has said all that differs.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.current.as_ref().is_some_and(|link| link.confirmed)
    }

    /// Envoy's stream is open.
    pub(crate) fn has_envoy(&self) -> bool {
        self.envoy
    }

    /// Types with their numbers of names, unanswered responses, and resources that wait for the client.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&Kind, [usize; 3])> {
        self.channels.values().map(|c| (&c.kind, [c.names.len(), c.flights.len(), c.pending.len()]))
    }

    fn is_own(&self, kind: &str) -> bool {
        self.channels.get(kind).is_some_and(|channel| channel.own)
    }

    fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(note));
    }
}
