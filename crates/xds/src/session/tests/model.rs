//! A client, a session and an index in one box, with a clock of their own.

use crate::{
    config::Timing,
    index::Index,
    mailbox::Mailbox,
    session::{Ask, Event, Held, Response, Session},
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tombolo_proto::{Change, Framing, Part, Ref, Resource, ResourceType, Scope, Version};

/// Content that the client rejects begins with this.
pub(super) const BAD: &str = "bad";

/// A resource of any content. Clusters name endpoints of their name; `refs` are further names.
pub(super) fn resource(kind: ResourceType, name: &str, content: &str, refs: &[(ResourceType, &str)]) -> Arc<Resource> {
    let own = (kind == ResourceType::Cluster).then_some((ResourceType::Endpoints, name));
    let refs: Vec<Ref> = own.iter().chain(refs).map(|(kind, name)| Ref { kind: *kind, name: (*name).into() }).collect();
    let part = Part::from_bytes(format!("{content} {} {name}", kind.short()).into_bytes().into(), refs);
    Arc::new(Resource::assemble(kind, name, vec![Arc::new(part)]))
}

pub(super) struct Model {
    pub(super) index: Index,
    pub(super) session: Session,
    pub(super) now: Instant,
    mailbox: Arc<Mailbox>,
    pub(super) framing: Framing,
    /// The client's rejections name the resource at fault.
    pub(super) outspoken: bool,
    /// What the client wants: names, and whether everything.
    pub(super) wants: BTreeMap<ResourceType, (BTreeSet<String>, bool)>,
    /// The types of which it has named anything on this stream: naming nothing is no longer everything.
    named: BTreeSet<ResourceType>,
    /// What it holds.
    pub(super) holds: BTreeMap<ResourceType, BTreeMap<String, Version>>,
    /// The version of each type that it accepted last.
    accepted: BTreeMap<ResourceType, String>,
    /// What it has not read yet.
    pub(super) inbox: VecDeque<Response>,
    pub(super) events: Vec<Event>,
    scopes: Vec<Scope>,
}

pub(super) fn timing() -> Timing {
    Timing { coalesce: Duration::from_secs(1), warm: Duration::from_secs(5), ..Timing::default() }
}

impl Model {
    pub(super) fn new(framing: Framing) -> Self {
        let (mut index, mailbox, now) = (Index::default(), Arc::new(Mailbox::default()), Instant::now());
        let connection = index.connect(mailbox.clone());
        let session = Session::new(connection, framing, &timing(), now);
        let mut model = Self {
            index,
            session,
            now,
            mailbox,
            framing,
            outspoken: true,
            wants: BTreeMap::new(),
            named: BTreeSet::new(),
            holds: BTreeMap::new(),
            accepted: BTreeMap::new(),
            inbox: VecDeque::new(),
            events: Vec::new(),
            scopes: Vec::new(),
        };
        model.reclassify(&[Scope::public()]);
        model
    }

    pub(super) fn delta() -> Self {
        Self::new(Framing::Delta)
    }

    pub(super) fn world() -> Self {
        Self::new(Framing::StateOfTheWorld)
    }

    pub(super) fn publish_to(
        &mut self,
        scope: &Scope,
        kind: ResourceType,
        name: &str,
        resource: Option<Arc<Resource>>,
    ) {
        let change = Change { scope: scope.clone(), kind, name: name.into(), resource };
        self.index.apply(&change, &mut RoaringBitmap::new());
    }

    /// Publishes to everyone; the session reads its mail.
    pub(super) fn publish(&mut self, resources: &[Arc<Resource>]) {
        for resource in resources {
            self.publish_to(&Scope::public(), resource.kind(), resource.name(), Some(resource.clone()));
        }
        self.flush();
    }

    pub(super) fn unpublish(&mut self, kind: ResourceType, name: &str) {
        self.publish_to(&Scope::public(), kind, name, None);
    }

    pub(super) fn reclassify(&mut self, scopes: &[Scope]) {
        self.read_mail();
        self.scopes = scopes.to_vec();
        self.session.reclassify(scopes, &mut self.index, self.now);
        self.flush();
    }

    fn read_mail(&mut self) {
        self.session.changed(self.mailbox.take_letters(), self.now);
    }

    /// The session reads its mail and sends what is due.
    pub(super) fn flush(&mut self) {
        self.read_mail();
        while let Some(response) = self.session.poll(&self.index, self.now) {
            self.inbox.push_back(response);
        }
        self.events.append(&mut self.session.take_events());
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.flush();
    }

    fn ask(&mut self, kind: ResourceType, ask: Ask) {
        self.read_mail();
        if self.session.changes_anything(kind, &ask, &self.index) {
            self.session.ask(kind, ask, &mut self.index, self.now);
        }
        self.flush();
    }

    /// All that the client wants, as a state-of-the-world request has it.
    fn ask_world(&mut self, kind: ResourceType) {
        let (names, everything) = self.wants.get(&kind).cloned().unwrap_or_default();
        if !names.is_empty() || !super::super::naming_nothing_is_everything(kind) {
            self.named.insert(kind);
        }
        let star = (everything && self.named.contains(&kind)).then(|| "*".to_owned());
        let version = self.accepted.get(&kind).cloned().unwrap_or_default();
        self.ask(kind, Ask::World { names: names.into_iter().chain(star).collect(), version });
    }

    pub(super) fn subscribe(&mut self, kind: ResourceType, names: &[&str]) {
        let wants = self.wants.entry(kind).or_default();
        wants.0.extend(names.iter().map(ToString::to_string));
        match self.framing {
            Framing::Delta => {
                let subscribe = names.iter().map(|name| Arc::from(*name)).collect();
                self.ask(kind, Ask::Delta { subscribe, unsubscribe: vec![], initial: Held::default() });
            }
            Framing::StateOfTheWorld => self.ask_world(kind),
        }
    }

    pub(super) fn unsubscribe(&mut self, kind: ResourceType, name: &str) {
        if !self.wants.get_mut(&kind).is_some_and(|wants| wants.0.remove(name)) {
            return;
        }
        // A delta client drops what it leaves. In state of the world its version would then be a lie, so it keeps what it gets anyway.
        let keeps = self.framing == Framing::StateOfTheWorld && self.wants[&kind].1;
        if let Some(holds) = self.holds.get_mut(&kind).filter(|_| !keeps) {
            holds.remove(name);
        }
        match self.framing {
            Framing::Delta => self
                .ask(kind, Ask::Delta { subscribe: vec![], unsubscribe: vec![name.into()], initial: Held::default() }),
            Framing::StateOfTheWorld => self.ask_world(kind),
        }
    }

    /// The client asks for everything, in the words of a stock client where that is possible.
    pub(super) fn subscribe_all(&mut self, kind: ResourceType) {
        let first = self.session.channel(kind).is_none();
        self.wants.entry(kind).or_default().1 = true;
        match self.framing {
            Framing::Delta => {
                let subscribe =
                    if first && super::super::naming_nothing_is_everything(kind) { vec![] } else { vec!["*".into()] };
                self.ask(kind, Ask::Delta { subscribe, unsubscribe: vec![], initial: Held::default() });
            }
            Framing::StateOfTheWorld => self.ask_world(kind),
        }
    }

    /// The client reads one response, and answers.
    pub(super) fn read(&mut self) -> Option<Response> {
        let response = self.inbox.pop_front()?;
        let kind = response.kind;
        let bad: Vec<_> = response
            .resources
            .iter()
            .filter(|r| r.value().starts_with(BAD.as_bytes()))
            .map(|r| r.name().to_string())
            .collect();
        let error = (!bad.is_empty())
            .then(|| if self.outspoken { format!("no good: {}", bad.join(", ")) } else { "no good".into() });
        if error.is_none() {
            self.take_in(&response);
        }
        self.read_mail();
        self.session.answered(kind, response.nonce, error, self.now);
        self.flush();
        Some(response)
    }

    fn take_in(&mut self, response: &Response) {
        let holds = self.holds.entry(response.kind).or_default();
        let (names, everything) = self.wants.get(&response.kind).cloned().unwrap_or_default();
        let whole =
            self.framing == Framing::StateOfTheWorld && super::super::naming_nothing_is_everything(response.kind);
        if whole {
            holds.clear();
        }
        for resource in &response.resources {
            if everything || names.contains(&**resource.name()) {
                holds.insert(resource.name().to_string(), resource.version());
            }
        }
        for name in &response.removed {
            holds.remove(&**name);
        }
        self.accepted.insert(response.kind, response.version.to_string());
    }

    /// The client reads until nothing more comes, however long it takes. Returns what it read.
    pub(super) fn settle(&mut self) -> Vec<Response> {
        let mut read = Vec::new();
        self.flush();
        for _ in 0..10_000 {
            if let Some(response) = self.read() {
                read.push(response);
            } else if let Some(at) = self.session.wake_at() {
                self.now = self.now.max(at);
                self.flush();
            } else {
                return read;
            }
        }
        panic!("it never settles: {:?}", self.session);
    }

    /// The stream breaks; the client comes back with what it holds. Clusters are asked for first, routes last.
    pub(super) fn reconnect(&mut self) {
        self.session.close(&mut self.index);
        self.inbox.clear();
        self.named.clear();
        self.mailbox = Arc::new(Mailbox::default());
        let connection = self.index.connect(self.mailbox.clone());
        self.session = Session::new(connection, self.framing, &timing(), self.now);
        let scopes = self.scopes.clone();
        self.session.reclassify(&scopes, &mut self.index, self.now);
        // A first request that names nothing would ask for everything; who wants nothing of a type says nothing.
        self.wants.retain(|_, (names, everything)| *everything || !names.is_empty());
        for (kind, (names, everything)) in self.wants.clone() {
            match self.framing {
                Framing::Delta => {
                    let mut initial = Held::default();
                    for (name, version) in self.holds.get(&kind).into_iter().flatten() {
                        initial.add(kind, name, &version.to_string(), &self.index);
                    }
                    let star = everything.then(|| "*".to_owned());
                    self.ask(
                        kind,
                        Ask::Delta {
                            subscribe: names.into_iter().chain(star).map(Arc::from).collect(),
                            unsubscribe: vec![],
                            initial,
                        },
                    );
                }
                Framing::StateOfTheWorld => self.ask_world(kind),
            }
        }
    }

    /// The version that the client holds of a resource.
    pub(super) fn held(&self, kind: ResourceType, name: &str) -> Option<Version> {
        self.holds.get(&kind)?.get(name).copied()
    }

    /// What the index shows the client under a name.
    pub(super) fn visible(&self, kind: ResourceType, name: &str) -> Option<Arc<Resource>> {
        self.session.wants(kind, name, &self.index).flatten()
    }
}
