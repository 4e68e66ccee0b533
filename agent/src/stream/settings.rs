//! What a config stream is made of, and its limits and times.

use std::{path::PathBuf, sync::Arc, time::Duration};
use tombolo_proto::envoy::envoy::config::core::v3::Node;

/// What a config stream needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Envoy finds its config: a Unix socket, made with mode 0600, replaced if it is there.
    pub socket: PathBuf,
    /// Where what Envoy accepted is kept. `None`: only for as long as the agent runs.
    pub cache: Option<Cache>,
    /// Who the control plane is told that we are. What Envoy says of itself is not passed on.
    pub node: Node,
    /// What is kept at most.
    pub limits: Limits,
    /// How long things may take.
    pub timing: Timing,
}

/// Where what Envoy accepted is kept.
#[derive(Clone, Debug)]
pub struct Cache {
    /// A directory that only its owner may open.
    pub directory: PathBuf,
    /// Whose config it is: what another owner left there is not read. Something that stays as it is over restarts.
    pub owner: String,
    /// The directory is in memory (tmpfs): private keys may be written there too.
    pub memory_backed: bool,
}

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message, from either side. Default 64 MiB.
    pub message_bytes: usize,
    /// Names that Envoy may subscribe to. Default 200,000.
    pub subscriptions: usize,
    /// Bytes of resources that wait for an Envoy that is away; more are asked for again when it is back. Default 16 MiB.
    pub pending_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: 64 << 20, subscriptions: 200_000, pending_bytes: 16 << 20 }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The first wait before another attempt to reach the control plane, and the longest. Default 200 ms and 30 s.
    pub backoff: (Duration, Duration),
    /// How long an attempt may take. Default 10 s.
    pub dial: Duration,
    /// A control plane that answered, and then says nothing for so long, has said all that differs from what is held. Default 1 s.
    pub settle: Duration,
    /// So long after its stream was opened it has said all that differs in any case. Default 5 s.
    pub silence: Duration,
    /// How often what no Envoy asks for is dropped. Default 60 s.
    pub prune: Duration,
    /// What was accepted is on the disk after so long at the latest. Default 1 s.
    pub sync: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            backoff: (Duration::from_millis(200), Duration::from_secs(30)),
            dial: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            silence: Duration::from_secs(5),
            prune: Duration::from_secs(60),
            sync: Duration::from_secs(1),
        }
    }
}

/// A type that the agent asks for itself, all of it. Envoy neither asks for it nor sees it.
pub struct Subscription {
    /// Its URL: `tombolo_proto::agent::NAME`, say.
    pub type_url: Arc<str>,
    /// Names to ask for. `*` is everything, and so is none: as Istio's whole tables are asked for.
    pub names: Vec<String>,
    /// Where resources go.
    pub sink: Box<dyn Sink>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("type_url", &self.type_url)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Takes resources of one type in. What was accepted before comes first, from the disk.
pub trait Sink: Send {
    /// What is new or different, and the names of what is gone.
    ///
    /// # Errors
    /// Why it cannot be taken in: the control plane is told so. What was there before stays.
    fn apply(&mut self, added: Vec<Item>, removed: Vec<String>) -> Result<(), String>;
}

/// A resource for a [`Sink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: Arc<str>,
    /// Its version: equal versions are equal content.
    pub version: String,
    /// The encoded message.
    pub value: bytes::Bytes,
}
