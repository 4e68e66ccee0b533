//! What one Envoy says on its stream, and when: a pure state machine.
//!
//! As Envoy 1.40 does over delta ADS. Clusters are asked for first, all of them; then, in one request, every assignment that they
//! name, and only then are the clusters acknowledged. Once every assignment has come, listeners; then the route tables that they
//! name. From then on a cluster that is new or has changed is warm only when its assignment has come (again), and until then the
//! acknowledgement of clusters is withheld. A new stream asks for everything at once and says what is held already.

use super::{
    catalog::{Catalog, ContentError, NameId},
    content::named_by,
    request::Request,
    response::{Entry, Item},
    table::{Difference, Table},
    wire::WireError,
};
use crate::sequence::Sequence;
use bytes::Bytes;
use tombolo_proto::ResourceType;

/// The server has broken the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("a response is of type {0:?}, which was not asked for")]
    NotAsked(String),
    #[error("a response for {0} holds a resource of {1}")]
    Mixed(&'static str, &'static str),
    #[error("a response has no type")]
    NoType,
}

/// One client's side of the protocol, over all its streams.
#[derive(Debug)]
pub(super) struct Session {
    node: Box<[u8]>,
    tables: [Table; ResourceType::ALL.len()],
    asked: [bool; ResourceType::ALL.len()],
    /// The response that is coming in.
    kind: Option<ResourceType>,
    nonce: String,
    removed: Vec<String>,
    /// Listeners have come once.
    listening: bool,
    /// Acknowledgements of clusters, withheld while one is warming.
    withheld: Vec<Bytes>,
    requests: u32,
}

/// The types that are asked for, in the order of a new stream's requests.
const TYPES: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Listener, ResourceType::Routes];

impl Session {
    /// A session of an encoded node, without a stream yet.
    pub(super) fn new(node: Vec<u8>) -> Self {
        Self {
            node: node.into(),
            tables: Default::default(),
            asked: Default::default(),
            kind: None,
            nonce: String::new(),
            removed: Vec::new(),
            listening: false,
            withheld: Vec::new(),
            requests: 0,
        }
    }

    /// Begins a new stream: what to send on it first.
    pub(super) fn open(&mut self, catalog: &Catalog) -> Vec<Bytes> {
        (self.kind, self.requests) = (None, 0);
        self.nonce.clear();
        self.removed.clear();
        self.withheld.clear();
        self.asked[ResourceType::Cluster as usize] = true;
        let asked = self.asked;
        TYPES.into_iter().filter(|kind| asked[*kind as usize]).map(|kind| self.resume(kind, catalog)).collect()
    }

    /// How many requests of its own, acknowledgements not counted, were made on this stream.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Everything that was ever asked for has come and is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.listening && self.withheld.is_empty() && self.tables.iter().all(|table| table.missing() == 0)
    }

    /// The type that an item belongs to, as far as is known yet.
    pub(super) fn kind_of(&self, item: &Item<'_>) -> Option<ResourceType> {
        match item {
            Item::Resource(entry) => ResourceType::from_url(entry.type_url),
            _ => self.kind,
        }
    }

    /// What is held of a type.
    pub(super) fn table(&self, kind: ResourceType) -> &Table {
        &self.tables[kind as usize]
    }

    /// What is still missing, for people.
    pub(super) fn waits_for(&self, catalog: &Catalog) -> String {
        for kind in TYPES {
            if let Some(name) = self.table(kind).first_missing() {
                let more = self.table(kind).missing();
                return format!("{more} resources of {}, {:?} among them", kind.short(), catalog.name(kind, name));
            }
        }
        let next = TYPES.into_iter().rev().find(|kind| self.asked[*kind as usize]);
        next.map_or_else(|| "a stream".to_owned(), |kind| format!("a response of {}", kind.short()))
    }

    /// Takes in an item of a response; what is to be sent is added to `out`. Returns the edit that the item comes from.
    pub(super) fn receive(
        &mut self,
        item: Item<'_>,
        catalog: &mut Catalog,
        out: &mut Vec<Bytes>,
    ) -> Result<Option<Sequence>, SessionError> {
        match item {
            Item::Type(url) => self.is_of(url).map(|_| None),
            Item::Nonce(nonce) => {
                nonce.clone_into(&mut self.nonce);
                Ok(None)
            }
            Item::Resource(entry) => self.resource(&entry, catalog),
            Item::Removed(name) => {
                self.removed.push(name.to_owned()); // the response's type may come after it
                Ok(None)
            }
            Item::End => self.end(catalog, out).map(|()| None),
        }
    }

    fn is_of(&mut self, url: &str) -> Result<ResourceType, SessionError> {
        let asked = |kind: &ResourceType| self.asked[*kind as usize];
        let kind = ResourceType::from_url(url).filter(asked).ok_or_else(|| SessionError::NotAsked(url.to_owned()))?;
        match self.kind.replace(kind) {
            Some(first) if first != kind => Err(SessionError::Mixed(first.short(), kind.short())),
            _ => Ok(kind),
        }
    }

    fn resource(&mut self, entry: &Entry<'_>, catalog: &mut Catalog) -> Result<Option<Sequence>, SessionError> {
        let kind = self.is_of(entry.type_url)?;
        let (name, new) = catalog.intern(kind, entry)?;
        if !self.holds(kind, name) {
            return Ok(None);
        }
        let content = catalog.content(new);
        let old = self.tables[kind as usize].hold(name, Some(new));
        self.tables[kind as usize].answer(name);
        if let Some(named) = named_by(kind).filter(|_| old != Some(new)) {
            let table = &mut self.tables[named as usize];
            content.refs.iter().for_each(|name| table.want(*name));
            if kind == ResourceType::Cluster && self.asked[ResourceType::Listener as usize] {
                content.refs.iter().for_each(|name| table.expect_again(*name));
            }
            let old = old.map(|old| &*catalog.content(old).refs).unwrap_or_default();
            old.iter().for_each(|name| table.unwant(*name));
        }
        Ok(content.sequence)
    }

    fn remove(&mut self, kind: ResourceType, name: &str, catalog: &mut Catalog) {
        let name = catalog.name_id(kind, name);
        let old = self.tables[kind as usize].hold(name, None);
        self.tables[kind as usize].answer(name);
        if let (Some(named), Some(old)) = (named_by(kind), old) {
            catalog.content(old).refs.iter().for_each(|name| self.tables[named as usize].unwant(*name));
        }
    }

    /// Resources that are named must have been asked for by name, and not been given up; Envoy drops others.
    fn holds(&self, kind: ResourceType, name: NameId) -> bool {
        matches!(kind, ResourceType::Cluster | ResourceType::Listener) || self.table(kind).is_subscribed(name)
    }

    fn end(&mut self, catalog: &mut Catalog, out: &mut Vec<Bytes>) -> Result<(), SessionError> {
        let kind = self.kind.take().ok_or(SessionError::NoType)?;
        for name in std::mem::take(&mut self.removed) {
            self.remove(kind, &name, catalog);
        }
        let ack = Request::ack(kind, &std::mem::take(&mut self.nonce));
        if let Some(named) = named_by(kind) {
            let difference = self.tables[named as usize].settle();
            out.extend(self.change(named, &difference, catalog));
        }
        let warming = self.table(ResourceType::Endpoints).missing() > 0;
        let started = self.asked[ResourceType::Listener as usize];
        if !warming && !started {
            self.asked[ResourceType::Listener as usize] = true;
            out.push(self.resume(ResourceType::Listener, catalog));
        }
        if kind == ResourceType::Cluster && warming && started {
            self.withheld.push(ack);
        } else {
            out.push(ack);
        }
        if !warming {
            out.append(&mut self.withheld);
        }
        self.listening |= kind == ResourceType::Listener;
        Ok(())
    }

    /// A request for names that differ from those asked for so far.
    fn change(&mut self, kind: ResourceType, difference: &Difference, catalog: &Catalog) -> Option<Bytes> {
        if difference.is_empty() {
            return None;
        }
        self.asked[kind as usize] = true;
        self.requests += 1;
        let mut request = Request::new(kind, None);
        difference.subscribe.iter().for_each(|name| request.subscribe(catalog.name(kind, *name)));
        difference.unsubscribe.iter().for_each(|name| request.unsubscribe(catalog.name(kind, *name)));
        Some(request.finish())
    }

    /// A stream's first request of a type: all that is asked for and all that is held.
    fn resume(&mut self, kind: ResourceType, catalog: &Catalog) -> Bytes {
        let node = (self.requests == 0).then_some(&*self.node);
        let mut request = Request::new(kind, node);
        let table = &self.tables[kind as usize];
        table.subscribed().for_each(|name| request.subscribe(catalog.name(kind, name)));
        for (name, content) in table.held() {
            request.holds(catalog.name(kind, name), &catalog.content(content).version);
        }
        self.requests += 1;
        request.finish()
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
