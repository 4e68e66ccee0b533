//! Route tables and virtual hosts.

use crate::{engine::TableKey, ir};
use tombolo_proto::{
    Part, Ref,
    envoy::envoy::config::route::v3::{RouteConfiguration, VirtualHost},
};

/// The fields of a route table besides its virtual hosts.
pub(crate) fn route_table(name: &str, _table: &TableKey) -> Part {
    Part::of(&RouteConfiguration { name: name.to_owned(), ..Default::default() }, Vec::<Ref>::new())
}

/// A virtual host, as a field of a route table.
pub(crate) fn virtual_host(ir: &ir::VirtualHost) -> Part {
    let host = VirtualHost { name: ir.name.clone(), domains: ir.domains.clone(), ..Default::default() };
    Part::of(&RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }, Vec::<Ref>::new())
}
