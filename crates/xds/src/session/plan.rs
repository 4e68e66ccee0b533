//! What goes out now, and what waits: make before break.
//!
//! - Types go out in the order clusters, endpoints, secrets, listeners, routes, names.
//! - While a response of a type is unanswered, that type's changes are gathered, for a bounded time.
//! - A listener or route table that names a cluster that is new to the client waits until the client has accepted the cluster:
//!   Envoy does so once it is warm. Bounded, and nothing else waits.
//! - Names go out a few at a time, the next few when those are answered: whoever takes them in, a small program, need not hold
//!   a response that is as large as the mesh.
//! - Nothing is taken away while something that the client may still hold, and that is about to change, names it.

use super::{
    Session,
    channel::Channel,
    items::{Items, View},
    message::{Event, Response},
};
use crate::index::Index;
use std::{collections::HashSet, sync::Arc, time::Instant};
use tombolo_proto::{Framing, Ref, ResourceType};

/// Names of one response: 50 kB or so.
const NAMES_AT_ONCE: usize = 250;

/// Whether something may be sent.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    /// It has waited long enough for these clusters.
    GoWithout(Vec<Arc<str>>),
    /// Not before something happens, or this moment.
    Wait(Option<Instant>),
}

impl Session {
    /// The next response to write, if any is due; to be called until there is none.
    pub(crate) fn poll(&mut self, index: &Index, now: Instant) -> Option<Response> {
        loop {
            self.wake_at = None;
            let mut dropped = false;
            let response =
                ResourceType::ALL.into_iter().find_map(|kind| self.poll_type(kind, index, now, &mut dropped));
            // What was dropped without a word may be what another type waited for.
            if response.is_some() || !dropped {
                return response;
            }
        }
    }

    fn poll_type(&mut self, kind: ResourceType, index: &Index, now: Instant, dropped: &mut bool) -> Option<Response> {
        if kind == ResourceType::NameTable {
            return self.poll_name_table(index, now);
        }
        let channel = self.channels[kind as usize].as_mut().filter(|channel| !channel.is_quiet())?;
        let gathered_until = channel.last_sent.filter(|_| !channel.flights.is_empty()).map(|sent| sent + self.coalesce);
        if gathered_until.is_some_and(|until| now < until) {
            self.wake_by(gathered_until);
            return None;
        }
        loop {
            let channel = self.channels[kind as usize].as_mut()?;
            let items = channel.retries.pop_front().unwrap_or_else(|| self.take_ready(kind, now));
            // An answer that is owed waits for what waits: an empty one would say that there is nothing.
            let nothing_owed =
                self.channel(kind).is_none_or(|channel| !channel.owes_answer || !channel.queue.is_empty());
            if items.is_empty() && nothing_owed {
                return None;
            }
            // There may be no words for what is due; then the next is due.
            if let Some(response) = self.respond(kind, items, index, now) {
                return Some(response);
            }
            *dropped = true;
        }
    }

    /// Takes from the queue what may go now.
    fn take_ready(&mut self, kind: ResourceType, now: Instant) -> Items {
        if kind == ResourceType::Name && self.framing == Framing::Delta {
            return self.take_names();
        }
        let Some(channel) = self.channel(kind) else { return Items::default() };
        let mut named = None;
        let (mut stay, mut waiting) = (Vec::new(), None::<Instant>);
        let mut in_vain = Vec::new();
        for (name, item) in channel.queue.iter() {
            match self.judge(kind, name, item, &mut named, now) {
                Verdict::Go => {}
                Verdict::GoWithout(clusters) => {
                    in_vain.push(Event::WaitedInVain { kind, name: name.clone(), clusters });
                }
                Verdict::Wait(until) => {
                    stay.push(name.clone());
                    waiting = waiting.into_iter().chain(until).min();
                }
            }
        }
        self.wake_by(waiting);
        self.events.append(&mut in_vain);
        let Some(channel) = &mut self.channels[kind as usize] else { return Items::default() };
        // Nearly always everything may go.
        let mut ready = std::mem::take(&mut channel.queue);
        channel.queue = stay.iter().filter_map(|name| ready.remove(name)).collect();
        ready
    }

    /// Nothing names a name, and it names nothing: each may go at any time.
    fn take_names(&mut self) -> Items {
        let Some(channel) = &mut self.channels[ResourceType::Name as usize] else { return Items::default() };
        channel.queue.take(NAMES_AT_ONCE)
    }

    /// `named` keeps what is gathered for the first removal.
    fn judge(
        &self,
        kind: ResourceType,
        name: &Arc<str>,
        item: View<'_>,
        named: &mut Option<HashSet<Ref>>,
        now: Instant,
    ) -> Verdict {
        match item.want {
            Some(_) => self.judge_addition(kind, item, now),
            None if item.base.is_nothing() => Verdict::Go,
            // Envoy waits for endpoints that it asks for, and keeps the cluster's acknowledgement back until then.
            None if item.force && kind == ResourceType::Endpoints => Verdict::Go,
            None => self.judge_removal(kind, name, item, named, now),
        }
    }

    fn judge_addition(&self, kind: ResourceType, item: View<'_>, now: Instant) -> Verdict {
        let (ResourceType::Listener | ResourceType::Routes, Some(want)) = (kind, item.want) else {
            return Verdict::Go;
        };
        let Some(clusters) = self.channel(ResourceType::Cluster).filter(|channel| channel.is_busy()) else {
            return Verdict::Go;
        };
        let mut unproven =
            want.refs().filter(|r| r.kind == ResourceType::Cluster && clusters.is_unproven(&r.name)).peekable();
        if unproven.peek().is_none() {
            return Verdict::Go;
        }
        // A client that has kept an earlier answer back for so long will not give this one soon.
        let stuck = clusters.flights.front().is_some_and(|flight| now >= flight.sent + self.warm);
        let until = item.since + if stuck { self.coalesce.min(self.warm) } else { self.warm };
        if now < until {
            Verdict::Wait(Some(until))
        } else {
            Verdict::GoWithout(unproven.map(|r| r.name.clone()).collect())
        }
    }

    fn judge_removal(
        &self,
        kind: ResourceType,
        name: &Arc<str>,
        item: View<'_>,
        named: &mut Option<HashSet<Ref>>,
        now: Instant,
    ) -> Verdict {
        // A client that comes back asks for its types one by one; what its routes need shows when it has asked for them.
        let grace = self.started + self.coalesce;
        let referrers = || referrers(kind).iter().map(|kind| self.channel(*kind));
        let resumed = self.channel(kind).is_some_and(|channel| channel.resumed);
        if resumed && now < grace && referrers().any(|channel| channel.is_none()) {
            return Verdict::Wait(Some(grace));
        }
        let named = named.get_or_insert_with(|| {
            let mut refs = HashSet::new();
            referrers().flatten().for_each(|channel| channel.each_passing_ref(|r| _ = refs.insert(r.clone())));
            refs
        });
        let needed =
            named.contains(&Ref { kind, name: name.clone() }) || referrers().flatten().any(Channel::has_unknown);
        // Spare clusters harm nobody; endpoints that are gone do, if the client never answers.
        let until = (kind == ResourceType::Endpoints).then(|| item.since + 2 * self.warm);
        if needed && until.is_none_or(|until| now < until) { Verdict::Wait(until) } else { Verdict::Go }
    }

    /// What waits for clusters or for other resources to go first, with the time since when.
    pub(crate) fn waiting(&self, kind: ResourceType, now: Instant) -> Vec<(Arc<str>, Instant)> {
        let mut named = None;
        let queue = self.channel(kind).into_iter().flat_map(|channel| channel.queue.iter());
        let waits =
            queue.filter(|(name, item)| matches!(self.judge(kind, name, *item, &mut named, now), Verdict::Wait(_)));
        waits.map(|(name, item)| (name.clone(), item.since)).collect()
    }

    pub(super) fn wake_by(&mut self, at: Option<Instant>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }
}

/// The types whose resources name resources of this type.
fn referrers(kind: ResourceType) -> &'static [ResourceType] {
    match kind {
        ResourceType::Cluster => &[ResourceType::Listener, ResourceType::Routes],
        ResourceType::Endpoints => &[ResourceType::Cluster],
        ResourceType::Secret => &[ResourceType::Cluster, ResourceType::Listener],
        ResourceType::Listener => &[],
        ResourceType::Routes => &[ResourceType::Listener],
        ResourceType::Name | ResourceType::NameTable => &[],
    }
}
