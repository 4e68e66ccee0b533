//! What Envoy does with responses: takes what is good, also of a response that it rejects, and says that it holds what it accepted.

use super::{BAD, control::version};
use crate::stream::wire::{self, Request, Resource, Response};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Envoy {
    /// The stream is open.
    pub(super) open: bool,
    /// Names of endpoints that it wants.
    pub(super) names: BTreeSet<String>,
    /// What it has, by type and name: contents.
    pub(super) holds: BTreeMap<(String, String), u8>,
    /// What it says that it has.
    reported: BTreeMap<(String, String), String>,
    pub(super) inbox: VecDeque<Response>,
    /// Of the present stream.
    pub(super) nonces: BTreeSet<String>,
}

impl Envoy {
    /// Another process.
    pub(super) fn restart(&mut self) {
        self.holds.clear();
        self.reported.clear();
    }

    /// It has something else than it says: it rejected a response, and took a part of it.
    pub(super) fn is_torn(&self) -> bool {
        self.holds.iter().any(|(key, content)| self.reported.get(key) != Some(&version(*content)))
            || self.holds.len() != self.reported.len()
    }

    /// A type's first request of a stream.
    pub(super) fn opening(&self, kind: &str, names: impl IntoIterator<Item = String>) -> Request {
        let of_kind = self.reported.iter().filter(|((k, _), _)| k == kind);
        Request {
            type_url: kind.to_owned(),
            subscribe: names.into_iter().collect(),
            initial_versions: of_kind.map(|((_, name), version)| (name.clone(), version.clone())).collect(),
            ..Request::default()
        }
    }

    /// Reads one response, and answers it.
    pub(super) fn read(&mut self, wildcard: impl Fn(&str) -> bool) -> Option<Request> {
        let response = self.inbox.pop_front()?;
        let kind = response.type_url;
        assert!(self.nonces.insert(response.nonce.clone()), "a nonce is used twice");
        let read: Vec<Resource> = response.resources.into_iter().map(|bytes| Resource::read(bytes).unwrap()).collect();
        let bad = read.iter().any(|resource| content(resource) == BAD);
        for resource in read.iter().filter(|resource| content(resource) != BAD) {
            if !wildcard(&kind) && !self.names.contains(&*resource.name) {
                continue;
            }
            let key = (kind.clone(), resource.name.to_string());
            self.holds.insert(key.clone(), content(resource));
            if !bad {
                self.reported.insert(key, resource.version.to_string());
            }
        }
        for name in response.removed {
            let key = (kind.clone(), name);
            self.holds.remove(&key);
            if !bad {
                self.reported.remove(&key);
            }
        }
        let error_detail = bad.then(|| wire::error_detail("it is bad"));
        Some(Request { type_url: kind, response_nonce: response.nonce, error_detail, ..Request::default() })
    }

    /// It wants a name of a type no more.
    pub(super) fn forget(&mut self, kind: &str, name: &str) {
        let key = (kind.to_owned(), name.to_owned());
        self.names.remove(name);
        self.holds.remove(&key);
        self.reported.remove(&key);
    }
}

pub(super) fn content(resource: &Resource) -> u8 {
    resource.value().unwrap()[0]
}
