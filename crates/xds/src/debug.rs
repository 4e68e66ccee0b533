//! What each proxy has been told, for people.

use crate::{
    ConnectionId, Hub,
    connection::Connection,
    index::NAME_TABLE,
    session::{Channel, NameTable},
};
use serde::Serialize;
use std::{sync::Arc, time::Instant};
use tombolo_proto::{Framing, Resource, ResourceType, Scope};

/// One connected proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProxyReport {
    /// Its stream; for [`Hub::resources`] and [`Hub::reclassify`].
    pub connection: ConnectionId,
    /// Its name; empty while it is not known yet.
    pub proxy: Arc<str>,
    /// `delta` or `state-of-the-world`.
    pub protocol: &'static str,
    /// Age of the stream.
    pub connected_seconds: u64,
    /// What it sees, the first before the others.
    pub scopes: Vec<String>,
    /// Changes that its task has not looked at yet.
    pub unread: usize,
    /// Per type that it has asked for.
    pub types: Vec<TypeReport>,
}

/// One type of one proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TypeReport {
    /// `cds`, `eds`, `sds`, `lds`, `rds` or `nds`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it asked for everything.
    pub wildcard: bool,
    /// How many names it asked for.
    pub subscribed: u64,
    /// Nonces of responses that it has not answered.
    pub unanswered: Vec<String>,
    /// How many resources are to be sent.
    pub pending: usize,
    /// Those of them that wait for others to be accepted first.
    pub held: Vec<HeldReport>,
    /// What it rejects.
    pub rejected: Vec<RejectedReport>,
}

/// One change that waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldReport {
    /// Of which resource.
    pub name: Arc<str>,
    /// For how long.
    pub seconds: u64,
}

/// One rejected resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RejectedReport {
    /// Its name.
    pub name: Arc<str>,
    /// The version that was rejected.
    pub version: String,
    /// The proxy's words.
    pub message: String,
}

/// One resource that a proxy holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ResourceReport {
    /// `cds`, `eds`, `sds`, `lds`, `rds` or `nds`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// The version that the proxy holds, or will once it has answered; `None` where it holds nothing or an unknown one.
    pub held: Option<String>,
    /// The version that it is to hold; `None` where the resource does not exist.
    pub current: Option<String>,
}

impl Hub {
    /// Every connected proxy.
    pub fn proxies(&self) -> Vec<ProxyReport> {
        self.live().iter().map(|connection| report(connection)).collect()
    }

    /// Every resource that a proxy asked for, with versions, sorted. Empty where the proxy is gone.
    pub fn resources(&self, connection: ConnectionId) -> Vec<ResourceReport> {
        let Some(connection) = self.find(connection) else { return Vec::new() };
        let session = connection.session();
        let index = self.index();
        let mut all: Vec<_> = ResourceType::ALL
            .into_iter()
            .flat_map(|kind| session.holdings(kind, &index).into_iter().map(move |holding| (kind, holding)))
            .map(|(kind, (name, held, current))| ResourceReport {
                kind: kind.short(),
                name,
                held: held.map(|version| version.to_string()),
                current: current.map(|version| version.to_string()),
            })
            .collect();
        all.sort();
        all
    }

    /// What a proxy is to hold of some types, sorted by type and name. Empty where the proxy is gone.
    pub fn contents(&self, connection: ConnectionId, wanted: impl Fn(ResourceType) -> bool) -> Vec<Arc<Resource>> {
        let Some(connection) = self.find(connection) else { return Vec::new() };
        let session = connection.session();
        let index = self.index();
        let kinds = ResourceType::ALL.into_iter().filter(|kind| wanted(*kind));
        let mut all: Vec<_> = kinds.flat_map(|kind| session.contents(kind, &index)).collect();
        all.sort_by(|a, b| (a.kind().short(), a.name()).cmp(&(b.kind().short(), b.name())));
        all
    }
}

fn report(connection: &Connection) -> ProxyReport {
    let session = connection.session();
    let class = connection.class().clone();
    let now = Instant::now();
    let types = ResourceType::ALL.into_iter().filter_map(|kind| {
        let held = session.waiting(kind, now);
        session.channel(kind).map(|channel| type_report(kind, channel, held, now))
    });
    ProxyReport {
        connection: connection.id,
        proxy: connection.proxy(),
        protocol: match connection.framing {
            Framing::Delta => "delta",
            Framing::StateOfTheWorld => "state-of-the-world",
        },
        connected_seconds: connection.progress.age().as_secs(),
        scopes: class.map(|class| class.scopes.iter().map(Scope::to_string).collect()).unwrap_or_default(),
        unread: connection.mailbox.len(),
        types: types.chain(session.name_table().map(name_table_report)).collect(),
    }
}

fn name_table_report(table: &NameTable) -> TypeReport {
    let rejected = table.rejected.iter().map(|(version, message)| RejectedReport {
        name: NAME_TABLE.clone(),
        version: version.to_string(),
        message: message.clone(),
    });
    TypeReport {
        kind: ResourceType::NameTable.short(),
        wildcard: true,
        subscribed: 0,
        unanswered: table.flight.iter().map(|(nonce, _)| nonce.to_string()).collect(),
        pending: usize::from(table.stale),
        held: Vec::new(),
        rejected: rejected.collect(),
    }
}

fn type_report(kind: ResourceType, channel: &Channel, held: Vec<(Arc<str>, Instant)>, now: Instant) -> TypeReport {
    let held = held
        .into_iter()
        .map(|(name, since)| HeldReport { name, seconds: now.saturating_duration_since(since).as_secs() });
    let rejected = channel.withheld.iter().map(|(name, withheld)| RejectedReport {
        name: name.clone(),
        version: withheld.version.to_string(),
        message: withheld.message.clone(),
    });
    let mut report = TypeReport {
        kind: kind.short(),
        wildcard: channel.wildcard,
        subscribed: channel.names.len(),
        unanswered: channel.flights.iter().map(|flight| flight.nonces.end().to_string()).collect(),
        pending: channel.queue.len() + channel.retries.iter().map(crate::session::Items::len).sum::<usize>(),
        held: held.collect(),
        rejected: rejected.collect(),
    };
    report.held.sort_by(|a, b| a.name.cmp(&b.name));
    report.rejected.sort_by(|a, b| a.name.cmp(&b.name));
    report
}
