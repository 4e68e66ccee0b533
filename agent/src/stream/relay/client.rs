//! What Envoy, or a sink in the agent, asks and answers.

use super::{
    Action, Note, Relay,
    ask::Due,
    channel::{Channel, EVERYTHING, Flight, LISTENER, Origin},
};
use crate::stream::{
    shelf::{Kind, Name, Shelf},
    wire::{self, Request, Resource, Response},
};
use bytes::Bytes;

impl Relay {
    /// Envoy is gone. What it has not answered waits for the next one.
    pub(super) fn envoy_closed(&mut self) {
        (self.envoy, self.rewarm) = (false, false);
        let kinds: Vec<Kind> = self.channels.values().filter(|channel| !channel.own).map(|c| c.kind.clone()).collect();
        for kind in kinds {
            let Some(channel) = self.channels.get_mut(&kind) else { continue };
            (channel.asked, channel.wildcard_asked) = (false, false);
            channel.names.values_mut().for_each(|asked| *asked = false);
            let flights = std::mem::take(&mut channel.flights);
            let mut origins = Vec::new();
            for flight in flights.into_iter().filter(|flight| !flight.origins.is_empty()) {
                let kept = |resource: &Resource| !resource.bytes.is_empty();
                flight.added.into_iter().filter(kept).for_each(|r| channel.keep(r.name.clone(), Some(r)));
                flight.removed.into_iter().for_each(|name| channel.keep(name, None));
                origins.extend(flight.origins);
            }
            origins.into_iter().for_each(|origin| self.wait_for_client(&kind, origin));
        }
        self.bound_pending();
    }

    /// One upstream response a type stays unanswered while the client is away: the newest.
    pub(super) fn wait_for_client(&mut self, kind: &Kind, origin: Origin) {
        let Some(channel) = self.channels.get_mut(kind) else { return };
        if let Some(earlier) = channel.outstanding.replace(origin) {
            self.answer_upstream(kind, earlier, None);
        }
    }

    /// Where too much waits, what the client did not ask for is dropped; if it does later, upstream is to say it again.
    pub(super) fn bound_pending(&mut self) {
        if self.channels.values().map(Channel::pending_bytes).sum::<usize>() > self.bounds.pending {
            self.missed = true;
            self.channels.values_mut().for_each(Channel::drop_unasked);
        }
    }

    pub(super) fn client(&mut self, request: Request, own: bool, shelf: &mut dyn Shelf) {
        let kind: Kind = request.type_url.as_str().into();
        if !self.channels.contains_key(&kind) && self.channels.len() >= self.bounds.types {
            return self.refuse(format!("more than {} types are subscribed to on one stream", self.bounds.types));
        }
        if !request.response_nonce.is_empty() {
            self.answered(&kind, &request.response_nonce, request.error_detail.as_ref(), shelf);
            self.replay(&kind, shelf);
        }
        let channel = self.channels.entry(kind.clone()).or_insert_with(|| Channel::new(kind.clone(), own));
        let first = !std::mem::replace(&mut channel.asked, true);
        if !first && request.subscribe.is_empty() && request.unsubscribe.is_empty() {
            return;
        }
        let rewarm = self.rewarm && channel.warms();
        let due = channel.ask(request, first, rewarm, shelf);
        self.rewarm |= due.replaces_clusters;
        self.respond(&kind, due, shelf);
        self.replay(&kind, shelf);
        let limit = self.bounds.subscriptions;
        if self.channels.values().filter(|c| !c.own).map(|c| c.names.len()).sum::<usize>() > limit {
            self.refuse(format!("more than {limit} names are subscribed to (limits.subscriptions)"));
        }
    }

    fn refuse(&mut self, reason: String) {
        self.envoy_closed();
        // What it asked for is not asked for on its behalf.
        self.channels.retain(|_, channel| channel.own);
        self.actions.push(Action::RefuseEnvoy(reason));
        self.resync("Envoy asked for more than it may");
    }

    /// Tells a sink more of what the shelf has, once it has taken in what it was told.
    fn replay(&mut self, kind: &Kind, shelf: &mut dyn Shelf) {
        let idle = |channel: &&mut Channel| channel.flights.is_empty() && !channel.backlog.is_empty();
        if let Some(channel) = self.channels.get_mut(kind).filter(idle) {
            let due = channel.replay(shelf);
            self.respond(kind, due, shelf);
        }
    }

    /// Tells the client what the shelf has, and upstream what the client wants.
    fn respond(&mut self, kind: &Kind, mut due: Due, shelf: &mut dyn Shelf) {
        let resync =
            std::mem::take(&mut self.missed) || due.doubted && self.links().any(|link| link.opened.contains(kind));
        let (subscribe, unsubscribe) = (std::mem::take(&mut due.subscribe), std::mem::take(&mut due.unsubscribe));
        let silent = due.added.is_empty() && due.removed.is_empty() && !due.answer;
        let Some(channel) = self.channels.get_mut(kind) else { return };
        if silent {
            if let Some(origin) = channel.outstanding.take_if(|_| channel.flights.is_empty()) {
                self.answer_upstream(kind, origin, None);
            }
        } else {
            self.send(kind, due.added, due.removed, Vec::new());
        }
        if resync {
            return self.resync("Envoy holds what the control plane was not told");
        }
        self.subscribe_upstream(kind, &subscribe, &unsubscribe, shelf);
    }

    /// A response to the client.
    pub(super) fn send(&mut self, kind: &Kind, mut added: Vec<Resource>, removed: Vec<Name>, origins: Vec<Origin>) {
        let Some(channel) = self.channels.get_mut(kind) else { return };
        self.nonce += 1;
        let response = Response {
            resources: added.iter().map(|resource| resource.bytes.clone()).collect(),
            type_url: kind.to_string(),
            nonce: self.nonce.to_string(),
            removed: removed.iter().map(ToString::to_string).collect(),
        };
        if origins.is_empty() {
            // They can be read again.
            added.iter_mut().for_each(|resource| resource.bytes = Bytes::new());
        }
        let own = channel.own;
        channel.depart(Flight { nonce: self.nonce, origins, added, removed });
        self.actions.push(if own { Action::Sink(response) } else { Action::Envoy(response) });
    }

    /// The client has answered this response. It answers in order: what was sent before is accepted.
    fn answered(&mut self, kind: &Kind, nonce: &str, error: Option<&Bytes>, shelf: &mut dyn Shelf) {
        let Ok(nonce) = nonce.parse::<u64>() else { return };
        loop {
            let Some(channel) = self.channels.get_mut(kind) else { return };
            let Some(flight) = channel.flights.pop_front_if(|flight| flight.nonce <= nonce) else { return };
            match error.filter(|_| flight.nonce == nonce) {
                None => self.accepted(kind, flight, shelf),
                Some(error) => self.rejected(kind, &flight, error),
            }
        }
    }

    fn accepted(&mut self, kind: &Kind, flight: Flight, shelf: &mut dyn Shelf) {
        let Some(channel) = self.channels.get_mut(kind) else { return };
        for resource in flight.added {
            channel.accept(resource, shelf);
        }
        for name in &flight.removed {
            let superseded = channel.pending.get(name).is_some_and(Option::is_some);
            channel.doubts.remove(name);
            shelf.remove(kind, name);
            if !superseded {
                channel.pending.remove(name);
            }
        }
        self.note(Note::Accepted(kind.clone()));
        self.settle(kind, flight.origins, None);
    }

    /// Envoy applies what is right in a response that it rejects: nobody knows what it holds.
    fn rejected(&mut self, kind: &Kind, flight: &Flight, error: &Bytes) {
        let Some(channel) = self.channels.get_mut(kind) else { return };
        let from_shelf = flight.origins.is_empty();
        for name in flight.names() {
            channel.doubts.insert(name.clone());
            if from_shelf {
                channel.pending.remove(name);
            }
        }
        self.note(Note::Rejected(kind.clone(), wire::error_message(error)));
        self.settle(kind, flight.origins.clone(), Some(error));
        if from_shelf {
            self.resync("the client rejected what was kept");
        }
    }

    /// Passes the client's answer on.
    fn settle(&mut self, kind: &Kind, mut origins: Vec<Origin>, error: Option<&Bytes>) {
        let Some(channel) = self.channels.get_mut(kind) else { return };
        if origins.is_empty() {
            origins.extend(channel.outstanding.take());
        }
        for origin in origins {
            self.answer_upstream(kind, origin, error);
        }
    }

    /// Drops what the present Envoy has not asked for, once it has asked for listeners and everything is answered.
    pub(super) fn prune(&mut self, shelf: &mut dyn Shelf) {
        let started = self.channels.get(LISTENER).is_some_and(|channel| channel.asked);
        if !(self.envoy && started && self.channels.values().all(|channel| channel.flights.is_empty())) {
            return;
        }
        let kinds: Vec<Kind> = self.channels.values().filter(|c| !c.own).map(|c| c.kind.clone()).collect();
        for kind in kinds {
            let Some(channel) = self.channels.get_mut(&kind) else { continue };
            let mut unsubscribe = Vec::new();
            if channel.wildcard && !channel.wildcard_asked {
                channel.wildcard = false;
                unsubscribe.push(EVERYTHING.to_owned());
            }
            let unasked = channel.names.extract_if(|_, asked| !*asked).map(|(name, _)| name.to_string());
            unsubscribe.extend(unasked);
            channel.forget_unless(Channel::wants, shelf);
            let outstanding = channel.outstanding.take();
            outstanding.into_iter().for_each(|origin| self.answer_upstream(&kind, origin, None));
            if !unsubscribe.is_empty() {
                self.subscribe_upstream(&kind, &[], &unsubscribe, shelf);
            }
        }
    }
}
