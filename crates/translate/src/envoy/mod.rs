//! The intermediate representation to Envoy's messages.

mod access_log;
mod action;
mod any;
mod cluster;
mod cors;
mod endpoints;
mod hcm;
mod headers;
mod listener;
mod route;
mod secret;
mod sidecar;
mod tcp;

pub(crate) use cluster::cluster;
pub(crate) use endpoints::assignment;
pub use listener::Bind;
pub(crate) use listener::{Edge, listener};
pub(crate) use route::{route_table, virtual_host};
pub(crate) use secret::secret;
pub(crate) use sidecar::{black_hole, catch_all, outbound, passthrough, unknown, virtual_outbound};

#[cfg(test)]
mod tests;
