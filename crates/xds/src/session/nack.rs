//! Answers. A rejection covers a whole response and may name nothing: what was in it is sent again in parts until the resource at
//! fault stands alone. That one is withheld at that version; the rest is served.

use super::{
    Session,
    channel::{Base, Channel, Withheld},
    flight::Flight,
    items::{Item, Items},
    message::Event,
    naming_nothing_is_everything,
};
use std::{sync::Arc, time::Instant};
use tombolo_proto::{Framing, ResourceType};

impl Session {
    /// The client has answered the response of this nonce: with an error, or, without one, by accepting it.
    pub(crate) fn answered(&mut self, kind: ResourceType, nonce: u64, error: Option<String>, now: Instant) {
        if kind == ResourceType::NameTable {
            return self.name_table_answered(nonce, error);
        }
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        // An answer to what is answered already is no news.
        let Some(at) = channel.flights.iter().position(|flight| flight.nonces.contains(&nonce)) else { return };
        let Some(message) = error else {
            self.events.push(Event::Acknowledged(kind));
            channel.unsearchable &= nonce != *channel.flights[at].nonces.end();
            return channel.accept(nonce);
        };
        // Clients answer in order: what was sent before is accepted.
        channel.accept(channel.flights[at].nonces.start() - 1);
        self.events.push(Event::Refused(kind, message.clone()));
        let whole = self.framing == Framing::StateOfTheWorld && naming_nothing_is_everything(kind);
        if let Some(flight) = channel.flights.pop_front() {
            channel.reject(kind, flight, message, whole, now, &mut self.events);
        }
    }
}

impl Channel {
    fn reject(
        &mut self,
        kind: ResourceType,
        flight: Flight,
        message: String,
        whole: bool,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let size = flight.size;
        let (mut suspects, removals) = self.stranded(kind, flight, now);
        if let (1, 1, false) = (suspects.len(), size, self.unsearchable)
            && let Some((name, item)) = suspects.take(1).into_iter().next()
        {
            return self.withhold(kind, name, item, message, events);
        }
        let (rest, named) = split(suspects, &message);
        // Leaving half of what a client holds out of a full set would take that half away.
        let unknown = |items: &Items| items.views().any(|item| matches!(item.base, Base::Unknown));
        let obscure = named.is_none() && rest.len() > 1 && unknown(&rest) || unknown(&self.queue);
        if whole && (self.unsearchable || obscure) {
            self.unsearchable = true;
            return;
        }
        // A removal alone cannot be wrong; in company it was perhaps not taken in.
        let removals = if removals.len() < size { removals } else { Items::default() };
        let [first, second] = match named {
            Some(named) => [rest, named],
            None => halve(rest),
        };
        // Depth first: what nobody names is proven before what somebody does is tried.
        for group in [second, first, removals].into_iter().filter(|group| !group.is_empty()) {
            self.retries.push_front(group);
        }
    }

    /// What a rejected response leaves to be done: its additions and its removals, but for what newer content has overtaken.
    fn stranded(&mut self, kind: ResourceType, flight: Flight, now: Instant) -> (Items, Items) {
        let (mut additions, mut removals) = (Items::default(), Items::default());
        for (name, item) in flight.items {
            if flight.whole && self.prove(&name, &item.base) {
                continue;
            }
            if let Some(later) = self.flights.iter_mut().find_map(|flight| flight.items.get_mut(&name)) {
                later.base = item.base;
                continue;
            }
            let sent = Base::from(item.want.clone()).weight(kind, &name);
            self.digest = self.digest.wrapping_sub(sent).wrapping_add(item.base.weight(kind, &name));
            if let Some(queued) = self.queue.get_mut(&name) {
                queued.base = item.base;
                continue;
            }
            let group = if item.want.is_some() { &mut additions } else { &mut removals };
            group.insert(name, Item { force: true, since: now, ..item });
        }
        (additions, removals)
    }

    fn withhold(&mut self, kind: ResourceType, name: Arc<str>, item: Item, message: String, events: &mut Vec<Event>) {
        let Some(version) = item.want.as_ref().map(|r| r.version()) else { return };
        events.push(Event::Withheld { kind, name: name.clone(), version, message: message.clone() });
        self.withheld.insert(name, Withheld { version, base: item.base, message });
    }
}

/// Sets those apart that the message names, where it names some and not all. It may name an innocent one; each part is proven.
fn split(items: Items, message: &str) -> (Items, Option<Items>) {
    let (named, rest): (Items, Items) = items.into_iter().partition(|(name, _)| names(message, name));
    match (rest.is_empty(), named.is_empty()) {
        (true, _) => (named, None),
        (_, true) => (rest, None),
        _ => (rest, Some(named)),
    }
}

/// Whether the name stands in the message as a word of its own.
fn names(message: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || "-_|/".contains(c);
    !name.is_empty()
        && message.match_indices(name).any(|(at, _)| {
            !message[..at].ends_with(part_of_name) && !message[at + name.len()..].starts_with(part_of_name)
        })
}

fn halve(items: Items) -> [Items; 2] {
    let half = items.len() / 2;
    let mut items = items.into_iter();
    [items.by_ref().take(half).collect(), items.collect()]
}
