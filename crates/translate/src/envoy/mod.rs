//! The intermediate representation to Envoy's messages.

mod route;

pub(crate) use route::{route_table, virtual_host};
