//! The ADS server: one gRPC stream per proxy, delta and state-of-the-world, over resources that are encoded once and shared.
//!
//! ```text
//! publish ──► Index ──► mailboxes ──► Session (pure) ──► wire ──► Envoy
//!             who sees    latest wins   what goes out      headers copied,
//!             what        per resource  now, what waits    payloads shared
//! ```
//!
//! [`Hub`] is the shared state. One writer publishes [`tombolo_proto::Change`]s; each names a resource, and the reverse index
//! leads from the resource to its subscribers, so the cost follows them and not the size of the mesh. A [`Session`](session)
//! decides for one stream, without IO and without a clock, what is sent now, what waits for an acknowledgement and what is withheld.
//! [`serve`] puts a listener in front.
//!
//! This crate knows resources, scopes and streams. It knows neither what a resource means nor where it came from.

mod class;
mod config;
mod connection;
mod debug;
mod health;
mod hub;
mod index;
mod instances;
mod mailbox;
mod metrics;
mod rejections;
mod server;
mod service;
mod session;
mod standing;
mod wire;

pub use class::{Class, Classify, Classifying, Peer, Refusal};
pub use config::{Config, Limits, Timing};
pub use debug::{ProxyReport, ResourceReport, TypeReport};
pub use health::{Health, TakeHealth, TakingHealth};
pub use hub::{Hub, Publication};
pub use index::ConnectionId;
pub use metrics::Metrics;
pub use rejections::Rejection;
pub use server::{Front, Plaintext, listen, serve, serve_behind, serve_connection};
pub use service::{AdsService, Body};
pub use standing::Standing;
pub use wire::Block;
