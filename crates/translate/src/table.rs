//! Route tables, put together from virtual hosts that are encoded once each.
//!
//! A table's virtual hosts are spread over a fixed number of buckets by a hash of their name. One edit encodes one virtual
//! host, copies its bucket together, and lists the buckets: far less than the table.
//!
//! A namespace's table is the mesh's but for a few virtual hosts, most of them of its own services. So neighbours by name are in
//! neighbouring buckets: the others are the mesh's own, and thousands of services in hundreds of namespaces are not kept hundreds of times.

use crate::{
    engine::{Built, Emits, Fact, Relation, TableKey, Unit, View},
    envoy, gateway_api, ir, mesh,
};
use bytes::BytesMut;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::Host;
use tombolo_proto::{Part, Resource, ResourceType};
use xxhash_rust::xxh3::xxh3_64;

/// Buckets of a gateway's table. Fixed, so that a table's bytes depend on its content alone.
const BUCKETS: u64 = 64;

/// In tables of proxies inside the mesh, groups of buckets, and how many buckets each has.
const GROUPS: u64 = 16;
const BUCKETS_OF_GROUP: u64 = 16;

/// One virtual host of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualHost {
    /// The table.
    pub table: TableKey,
    /// The host that it is for.
    pub host: Host,
}

/// Some virtual hosts of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    /// The table.
    pub table: TableKey,
    /// Which.
    pub bucket: u8,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub TableKey);

/// Hosts that differ in their first label are in one group: those of the services of a namespace.
fn bucket_of(table: &TableKey, host: &Host) -> u8 {
    let (host, hash) = (host.as_str(), |text: &str| xxh3_64(text.as_bytes()));
    let parent = host.split_once('.').map_or("", |(_, parent)| parent);
    let bucket = match table {
        TableKey::Gateway(_) => hash(host) % BUCKETS,
        TableKey::Sidecar { .. } | TableKey::HttpProxy { .. } => {
            hash(parent) % GROUPS * BUCKETS_OF_GROUP + hash(host) % BUCKETS_OF_GROUP
        }
    };
    bucket as u8 // below 256
}

impl Unit for VirtualHost {
    type Output = Arc<Part>;
    const RANK: u8 = 6;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let mut emits = Emits::default();
        let hosts = self.hosts(view, &mut emits)?;
        emits.fact(
            Relation::Bucket(self.table.clone(), bucket_of(&self.table, &self.host)),
            Fact::Host(self.host.clone()),
        );
        // One without domains only stands for the base table's virtual host of that name not being here.
        let parts: Vec<_> =
            hosts.iter().filter(|host| !host.domains.is_empty()).map(envoy::virtual_host).map(Arc::new).collect();
        Some(Built { output: concat(&parts.iter().collect::<Vec<_>>()), emits })
    }
}

impl VirtualHost {
    /// What is to be encoded: one, but for HTTP proxies, where each port of the host has its own. `None` where nothing calls for it.
    pub fn hosts(&self, view: &View<'_>, emits: &mut Emits) -> Option<Vec<ir::VirtualHost>> {
        Some(match &self.table {
            TableKey::Gateway(at) => {
                vec![gateway_api::virtual_host(view, (&self.table, &self.host), at, emits)?]
            }
            TableKey::Sidecar { namespace, port } => {
                vec![mesh::virtual_host(view, namespace.as_deref(), &self.host, *port)?]
            }
            TableKey::HttpProxy { namespace } => mesh::proxied_hosts(view, namespace.as_deref(), &self.host)?,
        })
    }
}

impl Unit for Bucket {
    type Output = Arc<Part>;
    const RANK: u8 = 7;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let own = hosts(view, &self.table, self.bucket);
        if own.is_empty() {
            return None;
        }
        let mut tables: BTreeMap<&Host, &TableKey> = own.into_iter().map(|host| (host, &self.table)).collect();
        let base = self.table.base();
        if let Some(base) = &base {
            for host in hosts(view, base, self.bucket) {
                tables.entry(host).or_insert(base);
            }
        }
        let units = tables.into_iter().map(|(host, table)| VirtualHost { table: table.clone(), host: host.clone() });
        let parts: Vec<&Arc<Part>> = units.filter_map(|unit| view.unit(&unit)).collect();
        let mut emits = Emits::default();
        emits.fact(Relation::Buckets(self.table.clone()), Fact::Bucket(self.bucket));
        Some(Built { output: concat(&parts), emits })
    }
}

/// The virtual hosts in a bucket of a table, in order.
fn hosts<'a>(view: &View<'a>, table: &TableKey, bucket: u8) -> Vec<&'a Host> {
    let facts = view.relation(Relation::Bucket(table.clone(), bucket));
    facts.filter_map(|fact| if let Fact::Host(host) = fact { Some(host) } else { None }).collect()
}

/// The buckets of a table that hold something, in order.
fn buckets(view: &View<'_>, table: &TableKey) -> Vec<u8> {
    let facts = view.relation(Relation::Buckets(table.clone()));
    facts.filter_map(|fact| if let Fact::Bucket(bucket) = fact { Some(*bucket) } else { None }).collect()
}

/// Some parts in a row as one: each reader of the bucket then handles one buffer.
fn concat(parts: &[&Arc<Part>]) -> Arc<Part> {
    if let [one] = parts {
        return (*one).clone();
    }
    let mut bytes = BytesMut::with_capacity(parts.iter().map(|p| p.bytes().len()).sum());
    parts.iter().for_each(|p| bytes.extend_from_slice(p.bytes()));
    let mut refs: Vec<_> = parts.iter().flat_map(|p| p.refs().iter().cloned()).collect();
    refs.sort_unstable();
    refs.dedup();
    Arc::new(Part::from_bytes(bytes.freeze(), refs))
}

impl Unit for Table {
    type Output = ();
    const RANK: u8 = 8;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        if view.count(Relation::Table(self.0.clone())) == 0 {
            return None;
        }
        let name = self.0.name();
        let mut parts = vec![Arc::new(envoy::route_table(&name, &self.0))];
        match self.0 {
            TableKey::Sidecar { .. } => parts.push(Arc::new(envoy::catch_all(mesh::settings(view).outbound_traffic))),
            TableKey::HttpProxy { .. } => {
                parts.push(Arc::new(envoy::http_proxy_catch_all(mesh::settings(view).outbound_traffic)));
            }
            TableKey::Gateway(_) => {}
        }
        // A bucket of the table's own has in it what it shares with its base.
        let mut tables: BTreeMap<u8, &TableKey> = BTreeMap::new();
        let base = self.0.base();
        for table in base.iter().chain([&self.0]) {
            tables.extend(buckets(view, table).into_iter().map(|bucket| (bucket, table)));
        }
        let buckets = tables.into_iter().map(|(bucket, table)| Bucket { table: table.clone(), bucket });
        parts.extend(buckets.filter_map(|bucket| view.unit(&bucket).cloned()));
        let mut emits = Emits::default();
        emits.resource(self.0.scope(), Arc::new(Resource::assemble(ResourceType::Routes, name, parts)));
        Some(Built { output: (), emits })
    }
}
