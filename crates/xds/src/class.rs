//! Who a proxy is, as far as resources go. The port that the control plane implements.

use std::{future::Future, pin::Pin, sync::Arc};
use tombolo_core::{InstanceId, SpiffeId};
use tombolo_proto::{Scope, envoy::envoy::config::core::v3::Node};

/// What a proxy sees: proxies of equal scopes share everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The scopes that it sees. Where two hold a resource of one type and name, the earlier one wins.
    pub scopes: Arc<[Scope]>,
    /// Its name for people, in logs and reports: the node id, as a rule.
    pub proxy: Arc<str>,
}

/// Who a caller proved to be. Put into a request's extensions by whoever checked the proof; absent where the port asks for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The identity.
    pub id: SpiffeId,
    /// Which instance of it, where the proof says so.
    pub instance: Option<InstanceId>,
}

/// Why a proxy is not served. Its stream ends with the matching gRPC status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What the node says of itself cannot be understood: `INVALID_ARGUMENT`.
    #[error("{0}")]
    Invalid(String),
    /// The proxy could not prove who it is: `UNAUTHENTICATED`.
    #[error("{0}")]
    Unauthenticated(String),
    /// The proxy is known, and may not have this: `PERMISSION_DENIED`.
    #[error("{0}")]
    Denied(String),
    /// Nothing matches the node yet, but that may change; clients try again: `UNAVAILABLE`.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(why) => Self::invalid_argument(why),
            Refusal::Unauthenticated(why) => Self::unauthenticated(why),
            Refusal::Denied(why) => Self::permission_denied(why),
            Refusal::Unavailable(why) => Self::unavailable(why),
        }
    }
}

/// What [`Classify::classify`] returns.
pub type Classifying<'a> = Pin<Box<dyn Future<Output = Result<Class, Refusal>> + Send + 'a>>;

/// Decides what a proxy sees.
pub trait Classify: Send + Sync + 'static {
    /// Called once per stream, with the node of its first request and with what its caller proved, after [`crate::Hub::open`].
    /// A node says what it likes: what `peer` does not cover is to be refused.
    fn classify<'a>(&'a self, node: &'a Node, peer: Option<&'a Peer>) -> Classifying<'a>;
}
