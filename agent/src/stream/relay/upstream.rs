//! Streams to the control plane.

use super::{Action, Link, LinkId, Note, Relay, channel::Origin};
use crate::stream::{
    shelf::{Kind, Name, Shelf},
    wire::{self, Request, Resource, Response},
};
use bytes::Bytes;
use std::collections::BTreeSet;
use tombolo_proto::agent::HEALTH_REPORT;

/// Responses of a stream that is being replaced that may be parked. More, and it is asked again if it stays after all.
const MAX_PARKED: usize = 64;

/// The workload's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Counts up.
    pub sequence: u64,
    /// Why it is not healthy.
    pub healthy: Result<(), String>,
}

impl Relay {
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.current.iter().chain(&self.candidate)
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.current.iter_mut().chain(&mut self.candidate).find(|link| link.id == id)
    }

    pub(super) fn link_opened(&mut self, id: LinkId, shelf: &dyn Shelf) {
        let link = Link { id, introduced: false, opened: BTreeSet::new(), heard: false, confirmed: false };
        if self.current.is_none() {
            self.missed = false;
            self.current = Some(link);
        } else {
            self.abandon_candidate();
            if self.current.is_none() {
                self.current = Some(link);
            } else {
                self.candidate = Some(link);
            }
        }
        let kinds: Vec<Kind> = self.channels.keys().cloned().collect();
        for kind in kinds {
            self.open(id, &kind, shelf);
        }
        if let Some(report) = self.health.clone() {
            self.request(id, health_request(&report));
        }
    }

    /// A candidate that came to nothing before its time.
    fn abandon_candidate(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        self.actions.push(Action::Close(candidate.id));
        if candidate.heard || self.parked.len() >= MAX_PARKED {
            self.resync("a replaced stream stays");
        }
    }

    pub(super) fn link_closed(&mut self, id: LinkId) {
        if self.current() == Some(id) {
            self.current = self.candidate.take();
            self.parked.clear();
        } else if let Some(candidate) = self.candidate.take_if(|link| link.id == id) {
            if candidate.heard || self.parked.len() >= MAX_PARKED {
                return self.resync("the stream that was to replace another ended");
            }
            let (current, parked) = (self.current(), std::mem::take(&mut self.parked));
            for response in parked {
                current.into_iter().for_each(|id| self.response(id, response.clone()));
            }
        }
    }

    pub(super) fn quiet(&mut self, id: LinkId) {
        if let Some(link) = self.link_mut(id) {
            link.confirmed = true;
        }
        let Some(candidate) = self.candidate.take_if(|link| link.id == id) else { return };
        if let Some(replaced) = self.current.replace(candidate) {
            self.actions.push(Action::Close(replaced.id));
        }
        self.parked.clear();
    }

    /// What upstream was told is not so: it is told anew on another stream.
    pub(super) fn resync(&mut self, why: &'static str) {
        let links: Vec<LinkId> = self.links().map(|link| link.id).collect();
        if links.is_empty() {
            return;
        }
        (self.current, self.candidate) = (None, None);
        self.parked.clear();
        self.note(Note::Resync(why));
        self.actions.extend(links.into_iter().map(Action::Close));
    }

    /// A type's first request on a stream.
    fn open(&mut self, id: LinkId, kind: &Kind, shelf: &dyn Shelf) {
        let Some(channel) = self.channels.get(kind).filter(|channel| channel.is_subscribed()) else { return };
        let opening = channel.opening(shelf);
        if self.link_mut(id).is_some_and(|link| link.opened.insert(kind.clone())) {
            self.request(id, opening);
        }
    }

    /// Tells every stream what else is wanted, or opens the type there.
    pub(super) fn subscribe_upstream(&mut self, kind: &Kind, add: &[String], remove: &[String], shelf: &dyn Shelf) {
        let links: Vec<(LinkId, bool)> = self.links().map(|link| (link.id, link.opened.contains(kind))).collect();
        for (id, opened) in links {
            if !opened {
                self.open(id, kind, shelf);
            } else if !add.is_empty() || !remove.is_empty() {
                let (subscribe, unsubscribe) = (add.to_vec(), remove.to_vec());
                self.request(id, Request { type_url: kind.to_string(), subscribe, unsubscribe, ..Request::default() });
            }
        }
    }

    /// Answers an upstream response, where its stream is still there.
    pub(super) fn answer_upstream(&mut self, kind: &str, origin: Origin, error: Option<&Bytes>) {
        let (type_url, response_nonce) = (kind.to_owned(), origin.nonce);
        self.request(
            origin.link,
            Request { type_url, response_nonce, error_detail: error.cloned(), ..Request::default() },
        );
    }

    fn request(&mut self, id: LinkId, mut request: Request) {
        let node = self.node.clone();
        let Some(link) = self.link_mut(id) else { return };
        if !std::mem::replace(&mut link.introduced, true) {
            request.node = Some(node);
        }
        self.actions.push(Action::Link(id, request));
    }

    pub(super) fn report(&mut self, report: Report) {
        let links: Vec<LinkId> = self.links().map(|link| link.id).collect();
        links.into_iter().for_each(|id| self.request(id, health_request(&report)));
        self.health = Some(report);
    }

    /// The newest health report that the control plane counts.
    pub(crate) fn acknowledged_report(&self) -> Option<u64> {
        self.acknowledged
    }

    pub(super) fn response(&mut self, id: LinkId, response: Response) {
        let Some(link) = self.link_mut(id) else { return };
        if response.type_url == HEALTH_REPORT {
            self.acknowledged = self.acknowledged.max(response.nonce.parse().ok());
            return;
        }
        link.heard = true;
        if self.candidate.is_some() && self.current() == Some(id) {
            if self.parked.len() < MAX_PARKED {
                self.parked.push(response);
            }
            return;
        }
        let kind: Kind = response.type_url.as_str().into();
        let origin = Origin { link: id, nonce: response.nonce };
        let read = response.resources.into_iter().map(Resource::read).collect::<Result<Vec<_>, _>>();
        let removed = response.removed.into_iter().map(Name::from).collect();
        match read {
            Ok(added) => self.pass_on(&kind, origin, added, removed),
            Err(error) => {
                let error = wire::error_detail(&format!("the agent cannot read a resource's envelope: {error}"));
                self.answer_upstream(&kind, origin, Some(&error));
            }
        }
    }

    /// To the client what it wants to hear, and the rest where it is kept for the next one.
    fn pass_on(&mut self, kind: &Kind, origin: Origin, added: Vec<Resource>, removed: Vec<Name>) {
        let Some(channel) = self.channels.get_mut(kind) else { return self.answer_upstream(kind, origin, None) };
        channel.complete |= channel.wildcard;
        let empty = added.is_empty() && removed.is_empty();
        let (added, others) = added.into_iter().partition::<Vec<_>, _>(|r| channel.wants(&r.name));
        let (removed, others_removed) = removed.into_iter().partition::<Vec<_>, _>(|name| channel.wants(name));
        others.into_iter().for_each(|resource| channel.keep(resource.name.clone(), Some(resource)));
        others_removed.into_iter().for_each(|name| channel.keep(name, None));
        let asked = channel.asked;
        if asked && (empty || !added.is_empty() || !removed.is_empty()) {
            let names = added.iter().map(|resource| &resource.name).chain(&removed);
            names.for_each(|name| _ = channel.pending.remove(name));
            self.send(kind, added, removed, vec![origin]);
        } else if asked {
            self.answer_upstream(kind, origin, None);
        } else {
            self.wait_for_client(kind, origin);
        }
        self.bound_pending();
    }
}

fn health_request(report: &Report) -> Request {
    let error_detail = report.healthy.as_ref().err().map(|reason| wire::error_detail(reason));
    let (type_url, response_nonce) = (HEALTH_REPORT.to_owned(), report.sequence.to_string());
    Request { type_url, response_nonce, error_detail, ..Request::default() }
}
