//! What an Envoy would fetch, put into the file that it starts from.
//!
//! `envoy --mode validate` reads no RDS, EDS or SDS: routes, endpoints and certificates are only checked where they stand in
//! the listeners and clusters themselves.

#![allow(clippy::panic)] // a test fails by it

use prost::{Message, Name};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_proto::{
    Resource, ResourceType,
    bootstrap::SDS_CLUSTER,
    envoy::{
        envoy::{
            config::{
                bootstrap::v3::{Bootstrap, bootstrap::StaticResources},
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType},
                },
                core::v3::{Node, config_source::ConfigSourceSpecifier, transport_socket},
                endpoint::v3::ClusterLoadAssignment,
                listener::v3::{Filter, FilterChain, Listener, filter},
                route::v3::RouteConfiguration,
            },
            extensions::{
                filters::network::http_connection_manager::v3::{
                    HttpConnectionManager, http_connection_manager::RouteSpecifier,
                },
                transport_sockets::tls::v3::{
                    CommonTlsContext, DownstreamTlsContext, Secret, UpstreamTlsContext,
                    common_tls_context::ValidationContextType,
                },
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
    let clusters = clusters.into_iter().map(|cluster| fetched.cluster(cluster));
    let static_resources = StaticResources {
        listeners: listeners.into_iter().map(|listener| fetched.listener(listener)).collect(),
        clusters: [agent()].into_iter().chain(clusters).collect(),
        secrets: fetched.secrets,
    };
    Bootstrap {
        node: Some(Node { id: "golden".to_owned(), cluster: "golden".to_owned(), ..Default::default() }),
        static_resources: Some(static_resources),
        ..Default::default()
    }
}

/// Where proxies have their own certificates from. It need not be there for an Envoy that only checks its config.
fn agent() -> Cluster {
    Cluster {
        name: SDS_CLUSTER.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
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
            edit(any, |context: &mut DownstreamTlsContext| local_secrets(context.common_tls_context.as_mut()));
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
        let sockets = cluster.transport_socket_matches.iter_mut().filter_map(|m| m.transport_socket.as_mut());
        for socket in sockets.filter_map(|socket| socket.config_type.as_mut()) {
            let transport_socket::ConfigType::TypedConfig(any) = socket;
            edit(any, |context: &mut UpstreamTlsContext| local_secrets(context.common_tls_context.as_mut()));
        }
        cluster
    }
}

/// Without a source, a secret's name means one in the bootstrap: so those that would come over ADS do. An agent's stay as they
/// are.
fn local_secrets(context: Option<&mut CommonTlsContext>) {
    let Some(context) = context else { return };
    let validation = match &mut context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => Some(secret),
        _ => None,
    };
    for secret in context.tls_certificate_sds_secret_configs.iter_mut().chain(validation) {
        let source = secret.sds_config.as_ref().and_then(|source| source.config_source_specifier.as_ref());
        if matches!(source, Some(ConfigSourceSpecifier::Ads(_))) {
            secret.sds_config = None;
        }
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
