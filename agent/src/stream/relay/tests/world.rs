//! Everything in one box.

use super::{
    BAD,
    control::{Session, Wants},
    envoy::{Envoy, content},
};
use crate::stream::{
    relay::{Action, Bounds, Event, LinkId, Relay, channel::CLUSTER, channel::LISTENER},
    shelf::{Memory, Shelf},
    wire::{Request, Resource},
};
use std::collections::{BTreeMap, VecDeque};

pub(super) const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub(super) const OWN: &str = "type.googleapis.com/own";
pub(super) const KINDS: [&str; 4] = [CLUSTER, ENDPOINTS, LISTENER, OWN];
pub(super) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) shelf: Memory,
    pub(super) envoy: Envoy,
    /// What the two control planes want.
    pub(super) wants: [Wants; 2],
    pub(super) sessions: BTreeMap<LinkId, Session>,
    /// What the agent's own sink holds.
    sink: BTreeMap<String, u8>,
    /// What is to become of the stream that is opened next.
    pub(super) plane: usize,
    next_link: u64,
    pub(super) pending_limit: usize,
}

impl World {
    pub(super) fn new(pending_limit: usize) -> Self {
        let mut world = Self {
            relay: relay(pending_limit),
            shelf: Memory::default(),
            envoy: Envoy::default(),
            wants: Default::default(),
            sessions: BTreeMap::new(),
            sink: BTreeMap::new(),
            plane: 0,
            next_link: 0,
            pending_limit,
        };
        world.start_sink();
        world
    }

    fn start_sink(&mut self) {
        self.sink.clear();
        self.handle(Event::Sink(Request {
            type_url: OWN.to_owned(),
            subscribe: vec!["*".to_owned()],
            ..Request::default()
        }));
    }

    /// The agent ends and begins anew; what is kept stays, Envoy too.
    pub(super) fn restart_agent(&mut self) {
        self.relay = relay(self.pending_limit);
        self.sessions.clear();
        self.envoy.open = false;
        self.envoy.inbox.clear();
        self.start_sink();
    }

    pub(super) fn handle(&mut self, event: Event) {
        let mut queue: VecDeque<Action> = self.relay.handle(event, &mut self.shelf).into();
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Envoy(response) => {
                    assert!(self.envoy.open, "nobody is there for {response:?}");
                    self.envoy.inbox.push_back(response);
                }
                Action::Sink(response) => {
                    let answer = self.sink(&response);
                    queue.extend(self.relay.handle(Event::Sink(answer), &mut self.shelf));
                }
                Action::Link(id, request) => {
                    let session = self.sessions.get_mut(&id).unwrap_or_else(|| panic!("{id:?} is closed: {request:?}"));
                    session.request(request);
                }
                Action::Close(id) => assert!(self.sessions.remove(&id).is_some(), "{id:?} is closed"),
                Action::Note(_) => {}
                Action::RefuseEnvoy(reason) => panic!("{reason}"),
            }
        }
    }

    fn sink(&mut self, response: &crate::stream::wire::Response) -> Request {
        let read: Vec<_> = response.resources.iter().map(|bytes| Resource::read(bytes.clone()).unwrap()).collect();
        let bad = read.iter().any(|resource| content(resource) == BAD);
        if !bad {
            self.sink.extend(read.iter().map(|resource| (resource.name.to_string(), content(resource))));
            response.removed.iter().for_each(|name| _ = self.sink.remove(name));
        }
        let error_detail = bad.then(|| crate::stream::wire::error_detail("it is bad"));
        let (type_url, response_nonce) = (OWN.to_owned(), response.nonce.clone());
        Request { type_url, response_nonce, error_detail, ..Request::default() }
    }

    pub(super) fn connect_envoy(&mut self) {
        self.envoy.open = true;
        self.envoy.inbox.clear();
        self.envoy.nonces.clear();
        self.handle(Event::EnvoyOpened);
        let names: Vec<String> = self.envoy.names.iter().cloned().collect();
        self.handle(Event::Envoy(self.envoy.opening(CLUSTER, [])));
        if !names.is_empty() {
            self.handle(Event::Envoy(self.envoy.opening(ENDPOINTS, names)));
        }
        self.handle(Event::Envoy(self.envoy.opening(LISTENER, [])));
    }

    pub(super) fn disconnect_envoy(&mut self) {
        if std::mem::take(&mut self.envoy.open) {
            self.envoy.inbox.clear();
            self.handle(Event::EnvoyClosed);
        }
    }

    /// Changes what Envoy wants of endpoints.
    pub(super) fn ask(&mut self, name: &str, wanted: bool) {
        let mut request = Request { type_url: ENDPOINTS.to_owned(), ..Request::default() };
        if wanted {
            self.envoy.names.insert(name.to_owned());
            request.subscribe.push(name.to_owned());
        } else {
            self.envoy.forget(ENDPOINTS, name);
            request.unsubscribe.push(name.to_owned());
        }
        if self.envoy.open {
            self.handle(Event::Envoy(request));
        }
    }

    pub(super) fn read(&mut self) -> bool {
        let answer = self.envoy.read(|kind| kind != ENDPOINTS);
        let read = answer.is_some();
        answer.into_iter().for_each(|answer| self.handle(Event::Envoy(answer)));
        read
    }

    pub(super) fn open_link(&mut self) {
        self.next_link += 1;
        let id = LinkId(self.next_link);
        self.sessions.insert(id, Session::new(self.plane));
        self.handle(Event::LinkOpened(id));
    }

    pub(super) fn close_link(&mut self, id: Option<LinkId>) {
        if let Some(id) = id {
            self.sessions.remove(&id);
            self.handle(Event::LinkClosed(id));
        }
    }

    /// The control planes send what is due. Whether anything was.
    pub(super) fn poll(&mut self) -> bool {
        let ids: Vec<LinkId> = self.sessions.keys().copied().collect();
        let mut any = false;
        for id in ids {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let wants = &self.wants[session.plane];
            for response in session.poll(wants) {
                any = true;
                self.handle(Event::Response(id, response));
            }
        }
        any
    }

    /// Everyone is there, and nobody has anything more to say.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            if self.relay.current().is_none() {
                self.open_link();
            }
            if !self.envoy.open {
                self.connect_envoy();
            }
            if self.poll() || self.read() {
                continue;
            }
            let Some(candidate) = self.relay.candidate() else { return };
            self.handle(Event::Quiet(candidate));
        }
        panic!("it never settles");
    }

    /// What is wrong once all is quiet.
    pub(super) fn fault(&mut self) -> Option<String> {
        let id = self.relay.current()?;
        let session = &self.sessions[&id];
        if self.sessions.len() != 1 || session.unanswered() > 0 {
            return Some(format!("{} streams, {} responses unanswered", self.sessions.len(), session.unanswered()));
        }
        let wants = self.wants[session.plane].clone();
        for (kind, name) in KINDS.iter().flat_map(|kind| NAMES.map(|name| ((*kind).to_owned(), name.to_owned()))) {
            let asked = kind != ENDPOINTS || self.envoy.names.contains(&name);
            let want = wants.get(&(kind.clone(), name.clone())).copied().filter(|_| asked);
            let holds = if kind == OWN {
                self.sink.get(&name).copied()
            } else {
                self.envoy.holds.get(&(kind.clone(), name.clone())).copied()
            };
            let kept = self.shelf.get(&kind, &name).map(|resource| content(&resource));
            if want != Some(BAD) && (holds != want || asked && kept != want) {
                return Some(format!(
                    "{kind} {name}: wanted {want:?}, held {holds:?}, kept {kept:?}\n{:#?}",
                    self.relay
                ));
            }
        }
        None
    }
}

fn relay(pending: usize) -> Relay {
    Relay::new("node".into(), Bounds { subscriptions: 100, types: 8, pending })
}
