//! What an Envoy would fetch, put into the file that it starts from.
//!
//! `envoy --mode validate` reads no RDS, EDS or SDS: routes, endpoints and certificates are only checked where they stand in
//! the listeners and clusters themselves.

#![allow(clippy::panic)] // a test fails by it

use prost::{Message, Name};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_proto::{
    Resource, ResourceType,
    envoy::{
        envoy::{
            config::{
                bootstrap::v3::{Bootstrap, bootstrap::StaticResources},
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType},
                },
                core::v3::{Node, transport_socket},
                endpoint::v3::ClusterLoadAssignment,
                listener::v3::{Filter, FilterChain, Listener, filter},
                route::v3::RouteConfiguration,
            },
            extensions::{
                filters::network::http_connection_manager::v3::{
                    HttpConnectionManager, http_connection_manager::RouteSpecifier,
                },
                transport_sockets::tls::v3::{DownstreamTlsContext, Secret},
            },
        },
        google::protobuf::{Any, BoolValue},
    },
};

/// A bootstrap that holds all of these resources: what one proxy would get.
pub(crate) fn bootstrap<'a>(resources: impl IntoIterator<Item = &'a Arc<Resource>>) -> Bootstrap {
    let mut fetched = Fetched::default();
    let (mut listeners, mut clusters) = (Vec::<Listener>::new(), Vec::<Cluster>::new());
    for resource in resources {
        match resource.kind() {
            ResourceType::Listener => listeners.push(decode(resource)),
            ResourceType::Cluster => clusters.push(decode(resource)),
            ResourceType::Routes => drop(fetched.routes.insert(resource.name().clone(), decode(resource))),
            ResourceType::Endpoints => drop(fetched.assignments.insert(resource.name().clone(), decode(resource))),
            ResourceType::Secret => fetched.secrets.push(decode(resource)),
            // For agents.
            ResourceType::Name | ResourceType::NameTable => {}
        }
    }
    let static_resources = StaticResources {
        listeners: listeners.into_iter().map(|listener| fetched.listener(listener)).collect(),
        clusters: clusters.into_iter().map(|cluster| fetched.cluster(cluster)).collect(),
        secrets: fetched.secrets,
    };
    Bootstrap {
        node: Some(Node { id: "golden".to_owned(), cluster: "golden".to_owned(), ..Default::default() }),
        static_resources: Some(static_resources),
        ..Default::default()
    }
}

fn decode<M: Message + Default>(resource: &Resource) -> M {
    M::decode(resource.value()).unwrap_or_else(|error| panic!("{resource:?} does not decode: {error}"))
}

/// What listeners and clusters name.
#[derive(Default)]
struct Fetched {
    routes: BTreeMap<Arc<str>, RouteConfiguration>,
    assignments: BTreeMap<Arc<str>, ClusterLoadAssignment>,
    secrets: Vec<Secret>,
}

impl Fetched {
    fn listener(&self, mut listener: Listener) -> Listener {
        let chains = listener.filter_chains.iter_mut().chain(listener.default_filter_chain.as_mut());
        chains.for_each(|chain| self.chain(chain));
        listener
    }

    fn chain(&self, chain: &mut FilterChain) {
        chain.filters.iter_mut().for_each(|filter| self.filter(filter));
        let socket = chain.transport_socket.as_mut().and_then(|socket| socket.config_type.as_mut());
        if let Some(transport_socket::ConfigType::TypedConfig(any)) = socket {
            edit(any, local_secrets);
        }
    }

    fn filter(&self, filter: &mut Filter) {
        if let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type {
            edit(any, |manager: &mut HttpConnectionManager| {
                if let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier {
                    let table = self.routes.get(&*rds.route_config_name);
                    let mut table = table.unwrap_or_else(|| panic!("no route table {}", rds.route_config_name)).clone();
                    // As it is for fetched tables: a route may name a cluster that is not there, and answers 503 then.
                    table.validate_clusters = Some(BoolValue { value: false });
                    manager.route_specifier = Some(RouteSpecifier::RouteConfig(table));
                }
            });
        }
    }

    fn cluster(&self, mut cluster: Cluster) -> Cluster {
        if let Some(eds) = cluster.eds_cluster_config.take() {
            let name = if eds.service_name.is_empty() { &cluster.name } else { &eds.service_name };
            let mut assignment =
                self.assignments.get(&**name).unwrap_or_else(|| panic!("no endpoints for {name}")).clone();
            assignment.cluster_name = cluster.name.clone();
            cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
            cluster.load_assignment = Some(assignment);
        }
        cluster
    }
}

/// Without a source, a certificate's name means one in the bootstrap.
fn local_secrets(context: &mut DownstreamTlsContext) {
    for certificate in context.common_tls_context.iter_mut().flat_map(|c| &mut c.tls_certificate_sds_secret_configs) {
        certificate.sds_config = None;
    }
}

/// Edits a packed message, if it is of this type.
fn edit<M: Message + Name + Default>(any: &mut Any, change: impl FnOnce(&mut M)) {
    if any.type_url == M::type_url() {
        let mut message = M::decode(&*any.value).unwrap_or_else(|error| panic!("{}: {error}", any.type_url));
        change(&mut message);
        any.value = message.encode_to_vec();
    }
}
