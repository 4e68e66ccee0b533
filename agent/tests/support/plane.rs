//! A control plane that serves what it is told to, honours what clients hold, and remembers all that it was asked.

use super::resources::Resource;
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::{mpsc, watch};
use tombolo_agent::stream::{Dial, Request, Response, Upstream, UpstreamError};
use tombolo_proto::{
    ResourceType,
    agent::HEALTH_REPORT,
    envoy::{envoy::service::discovery::v3, google::protobuf::Any},
};
use xxhash_rust::xxh3::xxh3_128;

/// See the module. Clones are the same one.
#[derive(Clone)]
pub struct Plane {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    away: bool,
    wants: BTreeMap<(String, String), Vec<u8>>,
    requests: Vec<Request>,
    sessions: usize,
    opened: usize,
    resources: usize,
    bytes: usize,
}

impl Plane {
    /// One that has nothing to serve.
    pub fn new() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_modify(|count| *count += 1);
    }

    /// Serves these from now on.
    pub fn publish(&self, resources: impl IntoIterator<Item = Resource>) {
        let resources = resources.into_iter().map(|r| ((r.kind.to_owned(), r.name), r.value));
        self.change(|state| state.wants.extend(resources));
    }

    /// Serves this no more.
    pub fn remove(&self, kind: &str, name: &str) {
        self.change(|state| _ = state.wants.remove(&(kind.to_owned(), name.to_owned())));
    }

    /// Ends every stream, and answers no more.
    pub fn go_away(&self) {
        self.change(|state| state.away = true);
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.change(|state| state.away = false);
    }

    /// How many streams are open.
    pub fn sessions(&self) -> usize {
        self.state().sessions
    }

    /// How many streams were ever opened.
    pub fn opened(&self) -> usize {
        self.state().opened
    }

    /// How many resources were sent, and how many bytes of them.
    pub fn sent(&self) -> (usize, usize) {
        let state = self.state();
        (state.resources, state.bytes)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    async fn serve(
        self,
        mut requests: mpsc::Receiver<Request>,
        responses: mpsc::Sender<Result<Response, UpstreamError>>,
    ) {
        let mut changed = self.changed.subscribe();
        let mut session = Session::default();
        self.change(|state| (state.sessions, state.opened) = (state.sessions + 1, state.opened + 1));
        loop {
            let due = session.due(&mut self.state());
            for response in due {
                _ = responses.send(Ok(response)).await;
            }
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => {
                        self.state().requests.push(request.clone());
                        session.ask(request);
                    }
                    None => break,
                },
                _ = changed.changed() => if self.state().away {
                    let gone = UpstreamError::Status { code: 14, message: "gone".to_owned() };
                    _ = responses.send(Err(gone)).await;
                    break;
                },
            }
        }
        self.change(|state| state.sessions -= 1);
    }
}

impl Dial for Plane {
    fn dial(&self) -> Pin<Box<dyn Future<Output = Result<Upstream, UpstreamError>> + Send + '_>> {
        Box::pin(async {
            if self.state().away {
                return Err(UpstreamError::Unreachable("it is away".to_owned()));
            }
            let (requests, incoming) = mpsc::channel(100);
            let (outgoing, responses) = mpsc::channel(4);
            tokio::spawn(self.clone().serve(incoming, outgoing));
            Ok(Upstream { requests, responses })
        })
    }
}

#[derive(Default)]
struct Session {
    types: BTreeMap<String, Books>,
    /// Clusters that were sent: an Envoy keeps one warming until its endpoints come after it.
    owed: BTreeSet<String>,
    nonce: usize,
    answers: Vec<Response>,
}

#[derive(Default)]
struct Books {
    wildcard: bool,
    names: BTreeSet<String>,
    holds: BTreeMap<String, String>,
    answered: bool,
}

impl Session {
    fn ask(&mut self, request: Request) {
        if request.type_url == HEALTH_REPORT {
            let nonce = request.response_nonce;
            return self.answers.push(Response { type_url: request.type_url, nonce, ..Response::default() });
        }
        let first = !self.types.contains_key(&request.type_url);
        let books = self.types.entry(request.type_url).or_default();
        if first {
            books.wildcard = request.subscribe.is_empty();
            books.holds = request.initial_versions.into_iter().collect();
            books.answered = !books.holds.is_empty();
        }
        for name in request.unsubscribe {
            books.names.remove(&name);
            books.holds.remove(&name);
        }
        for name in request.subscribe {
            if name == "*" {
                books.wildcard = true;
            } else {
                if !first {
                    books.holds.remove(&name);
                }
                books.names.insert(name);
            }
        }
    }

    fn due(&mut self, state: &mut State) -> Vec<Response> {
        let mut out = std::mem::take(&mut self.answers);
        // Clusters come first, by their type's name.
        for (kind, books) in &mut self.types {
            if kind == ResourceType::Endpoints.url() {
                for name in std::mem::take(&mut self.owed) {
                    books.holds.remove(&name);
                }
            }
            let mut response = Response { type_url: kind.clone(), ..Response::default() };
            let of_kind = state.wants.iter().filter(|((k, _), _)| k == kind);
            let visible: BTreeMap<_, _> =
                of_kind.map(|((_, n), v)| (n, v)).filter(|(n, _)| books.wildcard || books.names.contains(*n)).collect();
            let gone: Vec<_> = books.holds.keys().filter(|name| !visible.contains_key(name)).cloned().collect();
            for name in gone {
                books.holds.remove(&name);
                response.removed.push(name);
            }
            for (name, value) in visible {
                let version = format!("{:032x}", xxh3_128(value));
                if books.holds.insert(name.clone(), version.clone()).as_ref() != Some(&version) {
                    if kind == ResourceType::Cluster.url() {
                        self.owed.insert(name.clone());
                    }
                    response.resources.push(envelope(kind, name, version, value).into());
                }
            }
            if response.resources.is_empty() && response.removed.is_empty() && (books.answered || !books.wildcard) {
                continue;
            }
            books.answered = true;
            self.nonce += 1;
            response.nonce = format!("n{}", self.nonce);
            state.resources += response.resources.len();
            state.bytes += response.resources.iter().map(bytes::Bytes::len).sum::<usize>();
            out.push(response);
        }
        out
    }
}

fn envelope(kind: &str, name: &str, version: String, value: &[u8]) -> Vec<u8> {
    let resource = Some(Any { type_url: kind.to_owned(), value: value.to_vec() });
    v3::Resource { name: name.to_owned(), version, resource, ..Default::default() }.encode_to_vec()
}
