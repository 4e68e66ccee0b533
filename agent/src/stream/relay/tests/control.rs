//! One stream of a control plane: sends what differs at once, believes what it is told, answers what is asked anew.

use super::BAD;
use crate::stream::wire::{Request, Response};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// What a control plane wants proxies to hold, by type and name.
pub(super) type Wants = BTreeMap<(String, String), u8>;

#[derive(Debug, Default)]
struct Books {
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the client holds or is about to; `None` is not known.
    believed: BTreeMap<String, Option<String>>,
    /// Rejected contents.
    withheld: BTreeSet<(String, String)>,
    /// Names that are answered whatever is believed.
    asked: BTreeSet<String>,
    owes_answer: bool,
}

#[derive(Debug)]
struct Sent {
    kind: String,
    /// With what was believed before.
    items: Vec<(String, Option<String>, Option<Option<String>>)>,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    /// Which control plane's.
    pub(super) plane: usize,
    books: BTreeMap<String, Books>,
    unanswered: BTreeMap<String, Sent>,
    introduced: bool,
    nonce: u64,
    pub(super) sent_resources: usize,
}

pub(super) fn version(content: u8) -> String {
    format!("{content:032x}")
}

/// A resource of a content, in its envelope: name, version, an `Any` whose value is the content.
pub(crate) fn resource(name: &str, content: u8) -> Vec<u8> {
    use tombolo_proto::envoy::{envoy::service::discovery::v3::Resource, google::protobuf::Any};
    Resource {
        name: name.to_owned(),
        version: version(content),
        resource: Some(Any { type_url: "t".to_owned(), value: vec![content] }),
        ..Default::default()
    }
    .encode_to_vec()
}

impl Session {
    pub(super) fn new(plane: usize) -> Self {
        Self { plane, ..Self::default() }
    }

    pub(super) fn request(&mut self, request: Request) {
        assert_eq!(!std::mem::replace(&mut self.introduced, true), request.node.is_some(), "{request:?}");
        if !request.response_nonce.is_empty() {
            let sent = self.unanswered.remove(&request.response_nonce);
            let sent = sent.unwrap_or_else(|| panic!("answered twice, or never sent: {request:?}"));
            assert_eq!(sent.kind, request.type_url);
            if request.error_detail.is_some() {
                self.rejected(sent);
            }
        }
        let first = !self.books.contains_key(&request.type_url);
        if first {
            assert!(request.response_nonce.is_empty(), "a type begins with an answer: {request:?}");
        }
        let books = self.books.entry(request.type_url).or_default();
        if first {
            let claims = request.initial_versions.into_iter();
            books.believed = claims.map(|(name, version)| (name, Some(version))).collect();
            books.wildcard = request.subscribe.is_empty();
            books.owes_answer = books.believed.is_empty();
        } else {
            assert!(request.initial_versions.is_empty());
        }
        for name in request.unsubscribe {
            books.unsubscribe(&name);
        }
        for name in request.subscribe {
            books.subscribe(name, first);
        }
    }

    /// Contents at fault are withheld, the rest is sent again.
    fn rejected(&mut self, sent: Sent) {
        let books = self.books.get_mut(&sent.kind).unwrap();
        for (name, version, before) in sent.items {
            if books.believed.get(&name).cloned().flatten() != version {
                continue; // Something newer is on its way.
            }
            if version == Some(self::version(BAD)) {
                books.withheld.insert((name.clone(), self::version(BAD)));
                match before {
                    Some(before) => _ = books.believed.insert(name, before),
                    None => _ = books.believed.remove(&name),
                }
            } else {
                books.believed.insert(name, None);
            }
        }
    }

    /// What is due now.
    pub(super) fn poll(&mut self, wants: &Wants) -> Vec<Response> {
        let kinds: Vec<String> = self.books.keys().cloned().collect();
        kinds.into_iter().filter_map(|kind| self.poll_type(kind, wants)).collect()
    }

    fn poll_type(&mut self, kind: String, wants: &Wants) -> Option<Response> {
        let books = self.books.get_mut(&kind)?;
        let mut response = Response { type_url: kind.clone(), ..Response::default() };
        let mut items = Vec::new();
        let wanted = |name: &str| wants.get(&(kind.clone(), name.to_owned())).copied();
        let all = wants.keys().filter(|(k, _)| *k == kind).map(|(_, name)| name.clone());
        let names: BTreeSet<String> =
            all.chain(books.believed.keys().cloned()).chain(books.names.clone()).filter(|n| books.covers(n)).collect();
        for name in names {
            let (want, believed) = (wanted(&name).map(version), books.believed.get(&name).cloned());
            let asked = books.asked.remove(&name);
            if want.clone().is_some_and(|version| books.withheld.contains(&(name.clone(), version))) && !asked {
                continue;
            }
            if !asked && believed == want.clone().map(Some) {
                continue;
            }
            match wanted(&name) {
                Some(content) => response.resources.push(resource(&name, content).into()),
                None => response.removed.push(name.clone()),
            }
            match &want {
                Some(version) => _ = books.believed.insert(name.clone(), Some(version.clone())),
                None => _ = books.believed.remove(&name),
            }
            items.push((name, want, believed));
        }
        if items.is_empty() && !(books.wildcard && books.owes_answer) {
            return None;
        }
        books.owes_answer = false;
        self.nonce += 1;
        self.sent_resources += response.resources.len();
        response.nonce = format!("{}-{}", self.plane, self.nonce);
        self.unanswered.insert(response.nonce.clone(), Sent { kind, items });
        Some(response)
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }
}

impl Books {
    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn subscribe(&mut self, name: String, first: bool) {
        if name == "*" {
            self.wildcard = true;
        } else {
            if !first || !self.believed.contains_key(&name) {
                self.asked.insert(name.clone());
            }
            self.names.insert(name);
        }
    }

    fn unsubscribe(&mut self, name: &str) {
        if name == "*" {
            self.wildcard = false;
        }
        self.names.remove(name);
        if !self.wildcard {
            self.asked.remove(name);
            self.believed.remove(name);
        }
    }
}
