//! The intermediate representation to Envoy's messages.

mod cluster;
mod endpoints;
mod route;

pub(crate) use cluster::{cluster, dns_cache};
pub(crate) use endpoints::assignment;
pub(crate) use route::{route_table, virtual_host};
