//! One type's side of a session: what the client asked for, what is to be sent, what it has not answered yet, what is withheld.
//!
//! What a client holds is not stored. It is what the index shows it, except for the names in `queue`, `flights`, `retries` and
//! `withheld`: an idle connection costs a bitmap of names per type and nothing else.

use super::{
    empty_assignment,
    flight::Flight,
    items::{Item, Items, View},
    message::Event,
};
use roaring::RoaringBitmap;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};
use tombolo_proto::{Ref, Resource, ResourceType, Version};

/// What the client holds under a name.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    /// Nothing, and it waits for an answer about the name.
    Nothing,
    /// Nothing, and it need not be told.
    Absent,
    /// Something, from before this stream, that is not what is visible now.
    Unknown,
    /// This.
    At(Arc<Resource>),
}

impl From<Option<Arc<Resource>>> for Base {
    fn from(resource: Option<Arc<Resource>>) -> Self {
        resource.map_or(Self::Absent, Self::At)
    }
}

impl Base {
    pub(crate) fn resource(&self) -> Option<&Arc<Resource>> {
        if let Self::At(resource) = self { Some(resource) } else { None }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing | Self::Absent)
    }

    pub(super) fn is(&self, want: Option<&Arc<Resource>>) -> bool {
        match (self, want) {
            (Self::Absent, None) => true,
            (Self::At(held), Some(want)) => held.version() == want.version(),
            _ => false,
        }
    }

    /// What the name adds to the version of all that the client holds: see [`Channel::digest`].
    pub(crate) fn weight(&self, kind: ResourceType, name: &Arc<str>) -> u128 {
        match self {
            Self::At(resource) => resource.version().0,
            Self::Absent if kind == ResourceType::Endpoints => empty_assignment(name).version().0,
            Self::Absent | Self::Nothing | Self::Unknown => 0,
        }
    }
}

/// A resource that the client rejects.
#[derive(Clone, Debug)]
pub(crate) struct Withheld {
    /// Which version of it.
    pub(crate) version: Version,
    /// What the client goes on with.
    pub(crate) base: Base,
    /// The client's words.
    pub(crate) message: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// Everything visible is wanted.
    pub(crate) wildcard: bool,
    /// ... because the client never named anything: state-of-the-world's way to say so in every request.
    pub(crate) legacy: bool,
    /// What was asked for by name.
    pub(crate) names: RoaringBitmap,
    /// The client held something when the stream began.
    pub(crate) resumed: bool,
    /// A full set was rejected, and nothing tells which of it: later rejections prove nothing until one is accepted.
    pub(crate) unsearchable: bool,
    /// An answer is due even if there is nothing to say: a client that asks for everything waits for one.
    pub(crate) owes_answer: bool,
    /// What is to be sent.
    pub(crate) queue: Items,
    /// What was sent and is not answered, oldest first.
    pub(crate) flights: VecDeque<Flight>,
    /// Parts of rejected responses, each to be sent on its own.
    pub(crate) retries: VecDeque<Items>,
    /// What the client rejects.
    pub(crate) withheld: HashMap<Arc<str>, Withheld>,
    /// When the last response was sent.
    pub(crate) last_sent: Option<Instant>,
    /// Sum of the versions of all that the client holds: equal content gives an equal sum, in any order and on any replica.
    pub(crate) digest: u128,
}

impl Channel {
    /// The client has named nothing, and was sent nothing.
    pub(crate) fn is_untouched(&self) -> bool {
        self.names.is_empty() && self.withheld.is_empty() && !self.is_busy()
    }

    /// Nothing to send, and nothing to wait for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.retries.is_empty() && !self.owes_answer
    }

    /// Something is due, unanswered or to be tried again.
    pub(crate) fn is_busy(&self) -> bool {
        !(self.queue.is_empty() && self.flights.is_empty() && self.retries.is_empty())
    }

    /// The name's visible resource is now `after`; it was `before`.
    pub(crate) fn change(
        &mut self,
        kind: ResourceType,
        name: &Arc<str>,
        (before, after): (Option<Arc<Resource>>, Option<Arc<Resource>>),
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let rejected = self.withheld.get(name).map(|w| w.version);
        if rejected.is_some() && rejected == after.as_ref().map(|r| r.version()) {
            return;
        }
        let withheld = self.release(kind, name, events);
        if let Some(item) = self.queue.get_mut(name) {
            item.want = after;
        } else {
            let base = match (withheld, self.take_retry(name), self.last_flown(name)) {
                (Some(withheld), ..) => withheld.base,
                (_, Some(retried), _) => retried.base,
                (.., Some(flown)) => flown,
                _ => before.into(),
            };
            self.queue.insert(name.clone(), Item { want: after, base, force: false, since: now });
        }
        if self.queue.get(name).is_some_and(|item| !item.force && item.base.is(item.want)) {
            self.queue.remove(name);
        }
    }

    /// Queues an answer to someone who asks for a name, whatever they hold.
    pub(crate) fn answer(&mut self, name: &Arc<str>, want: Option<Arc<Resource>>, base: Base, now: Instant) {
        let retried = self.take_retry(name).map(|item| item.base);
        let base = self.last_flown(name).or(retried).unwrap_or(base);
        let item = self.queue.or_insert(name, Item { want: None, base, force: true, since: now });
        item.want = want;
        item.force = true;
    }

    /// Sends what the client holds, or is about to, once more.
    pub(crate) fn repeat(&mut self, name: &Arc<str>, visible: Option<Arc<Resource>>, now: Instant) {
        let resource = match self.withheld.get(name) {
            Some(withheld) => withheld.base.resource().cloned(),
            None => visible,
        };
        if !self.retries.iter().any(|group| group.contains(name)) {
            self.answer(name, resource.clone(), resource.into(), now);
        }
    }

    /// Queues what the client may not hold yet, unless it turns out that it need not.
    pub(crate) fn offer(&mut self, name: &Arc<str>, want: Option<Arc<Resource>>, base: Base, now: Instant) {
        self.queue.or_insert(name, Item { want, base, force: false, since: now });
    }

    /// The client asks again for what it asked for before: it is sent, rejected or not.
    pub(crate) fn answer_again(
        &mut self,
        kind: ResourceType,
        name: &Arc<str>,
        visible: Option<Arc<Resource>>,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let base = self.held(name, visible.as_ref());
        self.take_retry(name);
        self.release(kind, name, events);
        self.answer(name, visible, base, now);
    }

    /// The name is not wanted any more: nothing is due about it.
    pub(crate) fn forget(&mut self, kind: ResourceType, name: &Arc<str>, events: &mut Vec<Event>) {
        self.queue.remove(name);
        self.take_retry(name);
        for flight in &mut self.flights {
            flight.forgotten.extend(flight.items.remove(name).map(|(name, _)| name));
        }
        self.release(kind, name, events);
    }

    /// Every name that something is due or known about.
    pub(crate) fn unsettled(&self) -> Vec<Arc<str>> {
        let sent = self.flights.iter().flat_map(|flight| flight.items.names());
        let retried = self.retries.iter().flat_map(Items::names);
        self.queue.names().chain(sent).chain(retried).chain(self.withheld.keys()).cloned().collect()
    }

    /// What is on its way although the client had left it: when it wants it again, it may hold it.
    pub(crate) fn strays(&self) -> HashSet<Arc<str>> {
        self.flights.iter().flat_map(|flight| &flight.forgotten).cloned().collect()
    }

    /// What the client holds, or will once it has accepted what was sent.
    pub(crate) fn held(&self, name: &str, visible: Option<&Arc<Resource>>) -> Base {
        let waiting = || self.queue.get(name).or_else(|| self.retries.iter().find_map(|group| group.get(name)));
        if let Some(flown) = self.last_flown(name) {
            flown
        } else if let Some(item) = waiting() {
            item.base.clone()
        } else if let Some(withheld) = self.withheld.get(name) {
            withheld.base.clone()
        } else {
            visible.cloned().into()
        }
    }

    /// The client rejects the resource at this version no more, as far as is known.
    pub(crate) fn release(&mut self, kind: ResourceType, name: &Arc<str>, events: &mut Vec<Event>) -> Option<Withheld> {
        let withheld = self.withheld.remove(name)?;
        events.push(Event::Released { kind, name: name.clone(), version: withheld.version });
        Some(withheld)
    }

    /// Some version that names other resources is with the client, or on its way, or due, and it may go: calls `f` with each name.
    pub(crate) fn each_passing_ref(&self, mut f: impl FnMut(&Ref)) {
        let mut resource =
            |resource: Option<&Arc<Resource>>| resource.into_iter().for_each(|r| r.refs().for_each(&mut f));
        self.queue.views().for_each(|item| resource(item.base.resource()));
        for item in self.flights.iter().flat_map(|flight| flight.items.views()) {
            resource(item.base.resource());
            resource(item.want);
        }
        self.retries.iter().flat_map(Items::views).for_each(|item| resource(item.base.resource()));
        self.withheld.values().for_each(|withheld| resource(withheld.base.resource()));
    }

    /// The client holds something that is about to be replaced, and nobody knows what it names.
    pub(crate) fn has_unknown(&self) -> bool {
        let overlay = self.queue.views().chain(self.flights.iter().flat_map(|flight| flight.items.views()));
        overlay.chain(self.retries.iter().flat_map(Items::views)).any(|item| matches!(item.base, Base::Unknown))
    }

    /// The name is new to the client, and it has not accepted it yet.
    pub(crate) fn is_unproven(&self, name: &str) -> bool {
        let unproven = |item: View<'_>| item.base.is_nothing() && item.want.is_some();
        let flown = || self.flights.iter().filter_map(|flight| flight.items.get(name)).any(unproven);
        let retried = || self.retries.iter().filter_map(|group| group.get(name)).any(unproven);
        self.queue.get(name).is_some_and(unproven) || flown() || retried()
    }

    /// Something is on its way about the name, or is to be sent.
    pub(crate) fn is_due(&self, name: &str) -> bool {
        let flown = || self.flights.iter().any(|flight| flight.items.contains(name));
        self.queue.contains(name) || flown() || self.retries.iter().any(|group| group.contains(name))
    }

    /// The client rejects it, or a response that it was in.
    pub(crate) fn is_accused(&self, name: &str) -> bool {
        self.withheld.contains_key(name) || self.retries.iter().any(|group| group.contains(name))
    }

    fn last_flown(&self, name: &str) -> Option<Base> {
        let item = self.flights.iter().rev().find_map(|flight| flight.items.get(name))?;
        Some(item.want.cloned().into())
    }

    fn take_retry(&mut self, name: &str) -> Option<Item> {
        let (_, item) = self.retries.iter_mut().find_map(|group| group.remove(name))?;
        self.retries.retain(|group| !group.is_empty());
        Some(item)
    }
}
