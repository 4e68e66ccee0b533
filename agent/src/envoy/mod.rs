//! Envoy's life: what it starts from, its start, its end, and an Envoy that outlived the agent before.
//!
//! An Envoy is a process of its own, in a process group of its own, and its administration interface is a Unix socket in the state
//! directory. So it needs no agent to go on: an agent that is killed, or that is replaced by a newer one, leaves it running, and the
//! next agent on the same state directory takes it over. What makes it the same Envoy is written down ([`Keeper`]).
//!
//! Two ways to end: [`Control::end`] drains it and ends it, [`Control::leave`] lets it run. A pod uses the first: its containers end
//! together. A machine uses the second to put a newer agent in place.

mod bootstrap;
mod client;
mod drain;
mod introduction;
mod keeper;
mod log;
mod metrics;
mod node;
mod readiness;
mod record;

pub use bootstrap::{Paths, PathsError, bootstrap};
pub use client::{Client, ClientError};
pub use drain::DrainSettings;
pub use keeper::{Control, Keeper, KeeperError, Phase, Settings, Status};
pub use log::Log;
pub use metrics::register;
pub use node::{Kind, Node};
pub use readiness::readiness;
pub use tombolo_process::Identity;
