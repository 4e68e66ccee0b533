//! Answers DNS: names of the mesh from its table, all others from the servers that the machine had before.
//!
//! ```text
//! client ──► server ──► message::read ──► table ──► message::answer ──► client        nothing allocated that lasts, no IO
//!                            │              └─ not of the mesh ──► cache ──► client
//!                            └─ malformed ──► error                  └──► forward ──► the servers of resolv.conf now
//! ```
//!
//! The table is told of changes name by name ([`Dns::apply`]) or as a whole ([`Dns::replace`]), and serves whatever it was told last:
//! the control plane being away changes nothing. Before it was told anything, names of the mesh cannot be told from others, and all are
//! forwarded.

mod cache;
mod config;
mod forward;
mod message;
mod metrics;
mod resolv;
mod server;
mod servers;
mod table;
#[cfg(test)]
mod tests;

pub use cache::CacheLimits;
pub use config::{Config, Limits, Timing};
pub use resolv::{Resolv, Unreadable};
pub use server::{BindError, Sockets, serve};
pub use table::{Scope, Table};

use cache::Cache;
use forward::{Answer, Outcome, Upstreams};
use hickory_proto::op::{Message, ResponseCode};
use message::{Query, Refusal, Transport};
use metrics::{Kind, Metrics};
use prometheus_client::registry::Registry;
use servers::Servers;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tombolo_proto::agent::{NameInfo, NameTable};

/// The names of the mesh, the way to all others, and what was learnt of them.
#[derive(Debug)]
pub struct Dns {
    config: Config,
    table: RwLock<Table>,
    cache: Mutex<Cache>,
    servers: Servers,
    forwarding: Arc<Semaphore>,
    metrics: Metrics,
}

/// What is to be done with a client's message.
#[derive(Debug)]
enum Step {
    /// The answer is written.
    Reply,
    /// Other servers are to be asked.
    Forward(Arc<Query>, OwnedSemaphorePermit),
    /// There is nothing to be said.
    Ignore,
}

/// What there is to see, for `/debug`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// Hosts in the table of names.
    pub names: usize,
    /// Answers of name servers that are kept.
    pub cached: usize,
    /// Bytes that they take.
    pub cached_bytes: usize,
    /// Questions that name servers are being asked.
    pub forwarding: usize,
    /// Messages of clients since the start, by what became of them.
    pub queries: std::collections::BTreeMap<&'static str, u64>,
    /// The name servers, in order of preference.
    pub servers: Vec<ServerStatus>,
}

/// How one name server does.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ServerStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it failed of late, and is asked after the others.
    pub failed: bool,
}

impl Dns {
    /// Without names yet. `own` is where it will be asked: that address is left out of the name servers.
    pub fn new(config: Config, own: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            table: RwLock::new(Table::new(config.scope.clone())),
            cache: Mutex::new(Cache::new(config.limits.cache)),
            servers: Servers::new(config.resolv.clone(), own, config.timing.patience),
            forwarding: Arc::new(Semaphore::new(config.limits.forwarding)),
            metrics: Metrics::default(),
            config,
        })
    }

    /// Sets what one host resolves to, or removes it.
    pub fn apply(&self, host: &str, info: Option<&NameInfo>) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).apply(host, info);
    }

    /// Sets all names at once. Questions meanwhile are answered from those that were.
    pub fn replace(&self, names: &NameTable) {
        let table = self.table().replaced(names);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Registers counters, and gauges over what is held, as `tombolo_dns_*`.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        self.metrics.register(self, registry);
    }

    /// What there is to see.
    pub fn status(&self) -> Status {
        let (cached, cached_bytes) = self.cache().size();
        let upstreams = self.servers.current();
        let servers = upstreams.servers().map(|(address, failed)| ServerStatus { address, failed }).collect();
        Status {
            names: self.table().len(),
            cached,
            cached_bytes,
            forwarding: self.config.limits.forwarding.saturating_sub(self.forwarding.available_permits()),
            queries: Kind::ALL.into_iter().map(|kind| (kind.name(), self.metrics.get(kind))).collect(),
            servers,
        }
    }

    /// Decides on a client's message, and writes the answer into `out` where there is one at once.
    fn step(&self, packet: &[u8], transport: Transport, out: &mut Vec<u8>) -> Step {
        let query = match message::read(packet, transport) {
            Ok(query) => query,
            Err(refusal) => return self.refuse(&refusal, out),
        };
        if let Some(name) = query.host()
            && let Some(found) = self.table().find(name.as_bytes())
        {
            message::answer(&query, found, rand::random::<u32>() as usize, out);
            self.metrics.count(Kind::Mesh);
            return Step::Reply;
        }
        let cached = self.cache().fresh(&query, Instant::now());
        if let Some(reply) = cached.and_then(|answer| message::reply(&query, answer)) {
            return self.reply(Kind::Cached, reply, out);
        }
        match self.forwarding.clone().try_acquire_owned() {
            Ok(permit) => Step::Forward(Arc::new(query), permit),
            Err(_) => match message::failure(&query, ResponseCode::ServFail) {
                Some(reply) => self.reply(Kind::Failed, reply, out),
                None => Step::Ignore,
            },
        }
    }

    fn refuse(&self, refusal: &Refusal, out: &mut Vec<u8>) -> Step {
        match refusal {
            Refusal::Error(error) => match message::refusal(error) {
                Some(reply) => return self.reply(Kind::Malformed, reply, out),
                None => self.metrics.count(Kind::Malformed),
            },
            Refusal::Silent => self.metrics.count(Kind::Malformed),
        }
        Step::Ignore
    }

    fn reply(&self, kind: Kind, reply: Vec<u8>, out: &mut Vec<u8>) -> Step {
        self.metrics.count(kind);
        *out = reply;
        Step::Reply
    }

    /// Asks other servers; where none answers, gives the answer of before, if there is one, or says so.
    async fn forward(&self, query: &Arc<Query>) -> Option<Vec<u8>> {
        let upstreams = self.upstreams();
        let (kind, reply) = match upstreams.once(query, self.ask(&upstreams, query)).await {
            Ok(Answer::Message(message)) => (Kind::Forwarded, message::reply(query, *message)),
            Ok(Answer::Opaque(packet)) => (Kind::Forwarded, message::relay(query, packet)),
            Err(refused) => self.despite(query, refused),
        };
        self.metrics.count(kind);
        reply
    }

    /// The servers of now, and all that follows where they are others than before: what those said, these might not say.
    fn upstreams(&self) -> Arc<Upstreams> {
        let (upstreams, changed) = self.servers.refreshed(Instant::now());
        if let Some(resolv) = changed {
            self.table.write().unwrap_or_else(PoisonError::into_inner).search(&resolv.search);
            self.cache().clear();
        }
        upstreams
    }

    /// Asks and learns: less patiently where there is an answer of before.
    async fn ask(&self, upstreams: &Upstreams, query: &Arc<Query>) -> Outcome {
        let began = Instant::now();
        let has_stale = self.cache().has_stale(query, began);
        let within = if has_stale { self.config.timing.stale_after } else { upstreams.timeout() };
        let outcome = upstreams.ask(query, began + within.min(upstreams.timeout()), &self.metrics).await;
        if let Ok(Answer::Message(message)) = &outcome {
            self.cache().insert(query, message, Instant::now());
        }
        outcome
    }

    fn despite(&self, query: &Query, refused: Option<Box<Message>>) -> (Kind, Option<Vec<u8>>) {
        let stale = self.cache().revive(query, Instant::now());
        if let Some(stale) = stale {
            return (Kind::Stale, message::reply(query, stale));
        }
        let reply = match refused {
            Some(answer) => message::reply(query, *answer),
            None => message::failure(query, ResponseCode::ServFail),
        };
        (Kind::Failed, reply)
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
