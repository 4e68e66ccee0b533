//! The intermediate representation to Envoy's messages.

mod access_log;
mod action;
mod any;
mod cluster;
mod cors;
mod endpoints;
mod hcm;
mod headers;
mod http_proxy;
mod inbound;
mod listener;
mod mesh_tls;
mod ordered;
mod route;
mod secret;
mod sidecar;
mod tcp;

pub(crate) use cluster::cluster;
pub(crate) use endpoints::assignment;
pub(crate) use http_proxy::{HTTP_PROXY_PORT, http_proxy, http_proxy_catch_all, http_proxy_unknown};
pub(crate) use inbound::{inbound_cluster, inbound_listener};
pub use listener::Bind;
pub(crate) use listener::{Edge, listener};
pub(crate) use mesh_tls::{identities, roots};
pub(crate) use route::{route_table, virtual_host};
pub(crate) use secret::secret;
pub(crate) use sidecar::{black_hole, catch_all, outbound, passthrough, unknown, virtual_outbound};

#[cfg(test)]
mod tests;
