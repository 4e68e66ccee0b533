//! What the tiny server serves for a fixture: clusters, assignments, one listener, one route table.

use prost::Message;
use std::{collections::BTreeMap, net::SocketAddr};
use tombolo_bench::{fixture::Mesh, sequence::Sequence};
use tombolo_proto::{
    Part, ResourceType,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType},
                },
                core::v3::{Address, SocketAddress, address, socket_address::PortSpecifier},
                endpoint::v3::{
                    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
                },
                listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
                route::v3::RouteConfiguration,
            },
            extensions::filters::network::http_connection_manager::v3::{
                HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
            },
            service::discovery::v3::Resource,
        },
        google::protobuf::Any,
    },
};

/// By type URL and name.
#[derive(Clone, Default)]
pub(crate) struct Resources(BTreeMap<(&'static str, String), Vec<u8>>);

impl Resources {
    /// A fixture's, with one service edited.
    pub(crate) fn of(mesh: Mesh, edit: Option<(usize, Sequence)>) -> Self {
        let mut all = Self::default();
        for service in 0..mesh.services {
            let name = mesh.cluster(service);
            let edit = edit.and_then(|(edited, sequence)| (edited == service).then_some(sequence));
            all.add(ResourceType::Cluster, &name, &cluster(&name));
            all.add(ResourceType::Endpoints, &name, &assignment(&name, &mesh.endpoints(service, edit)));
        }
        all.add(ResourceType::Listener, "0.0.0.0_80", &listener());
        all.add(ResourceType::Routes, "80", &RouteConfiguration { name: "80".into(), ..Default::default() });
        all
    }

    fn add(&mut self, kind: ResourceType, name: &str, value: &impl Message) {
        self.0.insert((kind.url(), name.to_owned()), value.encode_to_vec());
    }

    /// A type's, by name.
    pub(crate) fn list(&self, url: &str) -> Vec<Resource> {
        let of_type = self.0.iter().filter(|((kind, _), _)| *kind == url);
        let resource = |((url, name), value): (&(&str, String), &Vec<u8>)| Resource {
            name: name.clone(),
            version: version(value),
            resource: Some(Any { type_url: (*url).to_owned(), value: value.clone() }),
            ..Default::default()
        };
        of_type.map(resource).collect()
    }
}

/// As Tombolo's own: a hash of the content.
fn version(value: &[u8]) -> String {
    format!("{:032x}", Part::from_bytes(value.to_vec().into(), []).hash())
}

fn cluster(name: &str) -> Cluster {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    Cluster { name: name.into(), cluster_discovery_type: Some(eds), ..Default::default() }
}

fn assignment(name: &str, endpoints: &[SocketAddr]) -> ClusterLoadAssignment {
    let endpoint = |at: &SocketAddr| {
        let port_specifier = Some(PortSpecifier::PortValue(at.port().into()));
        let socket = SocketAddress { address: at.ip().to_string(), port_specifier, ..Default::default() };
        let address = Some(Address { address: Some(address::Address::SocketAddress(socket)) });
        let host = HostIdentifier::Endpoint(Endpoint { address, ..Default::default() });
        LbEndpoint { host_identifier: Some(host), ..Default::default() }
    };
    let locality = LocalityLbEndpoints { lb_endpoints: endpoints.iter().map(endpoint).collect(), ..Default::default() };
    ClusterLoadAssignment { cluster_name: name.into(), endpoints: vec![locality], ..Default::default() }
}

fn listener() -> Listener {
    let rds = Rds { route_config_name: "80".into(), ..Default::default() };
    let manager = HttpConnectionManager { route_specifier: Some(RouteSpecifier::Rds(rds)), ..Default::default() };
    let config = Any {
        type_url:
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
                .into(),
        value: manager.encode_to_vec(),
    };
    let filter = Filter { config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    Listener { name: "0.0.0.0_80".into(), filter_chains: vec![chain], ..Default::default() }
}
