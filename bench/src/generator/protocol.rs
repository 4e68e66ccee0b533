//! What a generator is told, and what it answers: a line of JSON each, and one answer to each command.

use crate::{clock::Moment, sequence::Sequence};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// What a generator can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Adds clients, and answers [`Reply::Settled`] when every client has and has acknowledged all that it asked for.
    Connect {
        /// Where the server listens, without TLS.
        address: SocketAddr,
        /// How many clients to add.
        clients: usize,
        /// Over how many namespaces all clients are spread: the nth is in namespace `nth % namespaces` of the fixture.
        namespaces: usize,
        /// How long that may take.
        within: Duration,
    },
    /// Closes every connection; the clients keep what they hold. Answers [`Reply::Done`].
    Disconnect,
    /// Opens every client's connection again, with the versions that it holds, and answers [`Reply::Reconnected`] when all have
    /// said what they hold. The server need not answer anything to that.
    Reconnect {
        /// Where the server listens.
        address: SocketAddr,
        /// How long that may take.
        within: Duration,
    },
    /// Answers [`Reply::Done`] when every client has received this edit.
    Await {
        /// The edit.
        sequence: Sequence,
        /// How long that may take.
        within: Duration,
    },
    /// Answers [`Reply::Arrivals`] with every edit received since it was last asked.
    Arrivals,
    /// Answers [`Reply::Received`] with what was received since it was last asked.
    Received,
    /// Answers [`Reply::Holdings`].
    Holdings,
    /// Writes down from now on, or from when it is connected on, what the first client receives. Answers [`Reply::Done`].
    Record,
    /// Stops writing down, and saves it ([`super::Transcript`]). Answers [`Reply::Done`].
    Save {
        /// To this file.
        path: PathBuf,
    },
}

/// What a generator answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// See [`Command::Connect`].
    Settled(Settled),
    /// See [`Command::Reconnect`].
    Reconnected(Settled),
    /// See [`Command::Arrivals`].
    Arrivals(Vec<Arrivals>),
    /// See [`Command::Received`]: by type, as in `cds`.
    Received(BTreeMap<String, Received>),
    /// See [`Command::Holdings`].
    Holdings(Vec<Holdings>),
    /// The command could not be carried out: a client lost its stream, or time ran out.
    Failed(String),
}

/// When clients connected and when they had everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How many clients there are now.
    pub clients: usize,
    /// When the first one began to connect.
    pub first_connect: Moment,
    /// When the last one sent the last acknowledgement (connecting again: the last request).
    pub last_request: Moment,
}

/// When each client received an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// The edit.
    pub sequence: Sequence,
    /// When, by client; `None` for those that did not, because a later edit of the same resource came first, say.
    pub at: Vec<Option<Moment>>,
}

impl Arrivals {
    /// When the last client received it; `None` where not all did.
    pub fn last(&self) -> Option<Moment> {
        self.at.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// What was received of one type, by all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Responses.
    pub responses: u64,
    /// Resources in them.
    pub resources: u64,
    /// Bytes of the encoded resources, envelopes not counted.
    pub bytes: u64,
    /// Resources that were removed.
    pub removed: u64,
}

/// What some clients hold: all of them exactly the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// The clients.
    pub clients: Vec<usize>,
    /// What they hold, by type and name.
    pub resources: Vec<Holding>,
}

/// A resource that is held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holding {
    /// Its type, as in `cds`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The version that it was sent as.
    pub version: String,
    /// XXH3 (128 bits) of its encoding, 32 hexadecimal digits.
    pub hash: String,
    /// Where an assignment's endpoints are, in order.
    pub endpoints: Vec<SocketAddr>,
}
