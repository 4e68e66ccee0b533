//! The intermediate representation to Envoy's messages.

mod cluster;
mod endpoints;
mod route;
mod sidecar;
mod tcp;

pub(crate) use cluster::cluster;
pub(crate) use endpoints::assignment;
pub(crate) use route::{route_table, virtual_host};
pub(crate) use sidecar::{black_hole, catch_all, outbound, passthrough, unknown, virtual_outbound};
