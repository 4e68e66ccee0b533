//! The config stream: Envoy on one side, the control plane on the other, and on disk what Envoy last accepted.
//!
//! ```text
//! Envoy ──► downstream ──► relay (pure) ◄── upstream ◄── control plane
//!           Unix socket      │    │          dialled, replaced make-before-break
//!                          shelf  sinks
//!               what was accepted  what the agent asks for itself
//! ```
//!
//! Envoy's stream stays open while the control plane is away or replaced. Only envelopes are read: type, name, version.

mod books;
mod downstream;
mod links;
mod metrics;
mod relay;
mod run;
mod settings;
mod shelf;
mod status;
mod task;
mod upstream;
mod version;
mod wire;

pub use relay::Report;
pub use run::{ConfigStream, Handle, SwitchError};
pub use settings::{Cache, Item, Limits, Settings, Sink, Subscription, Timing};
pub use status::{Rejection, Status, TypeStatus};
pub use upstream::{Dial, Upstream, UpstreamError, over};
pub use wire::{Request, Response, WireError};
