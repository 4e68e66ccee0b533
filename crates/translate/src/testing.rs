//! Worlds for tests: manifests in, what is made of them out.

use crate::{
    Engine, Outcome,
    engine::{Fact, Relation},
    mesh::Variant,
};
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tombolo_api::{AnyObject, ObjectKey, manifest};
use tombolo_core::SourceId;
use tombolo_proto::{
    Resource, ResourceType, Scope,
    envoy::envoy::{
        config::{
            cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
            route::v3::RouteConfiguration,
        },
        extensions::transport_sockets::tls::v3::Secret,
    },
};
use tombolo_registry::{Index, Key};

/// An engine over an index, edited by manifests.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) index: Index,
    inputs: Vec<(Relation, Fact)>,
}

/// The objects of some YAML documents; panics where one has a problem.
pub(crate) fn objects(yaml: &str) -> Vec<AnyObject> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let decode = |document| {
        let decoded = manifest::decode(document, None);
        decoded.object.unwrap_or_else(|| panic!("{:?}", decoded.problems))
    };
    documents.into_iter().map(decode).collect()
}

/// A world with these manifests applied.
pub(crate) fn world(yaml: &str) -> World {
    let mut world = World::default();
    world.apply(yaml);
    world
}

impl World {
    /// Applies manifests, all in one edit.
    pub(crate) fn apply(&mut self, yaml: &str) -> Outcome {
        self.apply_from("test", objects(yaml))
    }

    /// Applies objects of a source, all in one edit.
    pub(crate) fn apply_from(&mut self, source: &str, objects: Vec<AnyObject>) -> Outcome {
        let source = SourceId::new(source);
        let changes: Vec<Key> = objects.into_iter().flat_map(|object| self.index.apply(source, object)).collect();
        self.engine.apply(self.index.current(), changes)
    }

    /// Deletes the objects of these manifests.
    pub(crate) fn delete(&mut self, yaml: &str) -> Outcome {
        let keys: Vec<ObjectKey> = objects(yaml).iter().map(|object| object.key(SourceId::new("test"))).collect();
        let changes: Vec<Key> = keys.iter().flat_map(|key| self.index.delete(key)).collect();
        self.engine.apply(self.index.current(), changes)
    }

    /// Sidecars of these namespaces connect.
    pub(crate) fn connect(&mut self, namespaces: &[&str]) {
        self.insert(namespaces.iter().map(|ns| (Relation::SidecarNamespace((*ns).into()), Fact::Unit)).collect());
    }

    /// Proxies of this variant connect.
    pub(crate) fn connect_variant(&mut self, variant: &Variant) {
        self.insert(variant.levels().into_iter().map(|v| (Relation::Variants, Fact::Variant(v))).collect());
    }

    /// The mesh trusts these roots from now on, and no others.
    pub(crate) fn trust(&mut self, roots: &[&str]) -> Outcome {
        let is_trust = |(relation, _): &(Relation, Fact)| *relation == Relation::Trust;
        let (old, mut inputs): (Vec<_>, Vec<_>) = self.inputs.drain(..).partition(is_trust);
        let new: Vec<_> = roots.iter().map(|root| (Relation::Trust, Fact::Trust((*root).into()))).collect();
        inputs.extend(new.iter().cloned());
        self.inputs = inputs;
        self.engine.insert_facts(new);
        self.engine.remove_facts(old);
        self.engine.apply(self.index.current(), [])
    }

    /// Something is known from outside.
    pub(crate) fn insert(&mut self, facts: Vec<(Relation, Fact)>) {
        self.inputs.extend(facts.iter().cloned());
        self.engine.insert_facts(facts);
        self.engine.apply(self.index.current(), []);
    }

    /// That is known no more.
    pub(crate) fn remove(&mut self, facts: Vec<(Relation, Fact)>) {
        self.inputs.retain(|fact| !facts.contains(fact));
        self.engine.remove_facts(facts);
        self.engine.apply(self.index.current(), []);
    }

    /// What proxies of these scopes see of a type, by name.
    pub(crate) fn seen(&self, scopes: &[Scope], kind: ResourceType) -> BTreeMap<Arc<str>, Arc<Resource>> {
        let mut all = BTreeMap::new();
        for scope in scopes.iter().rev() {
            let of_scope = self.engine.resources().filter(|(s, r)| *s == scope && r.kind() == kind);
            all.extend(of_scope.map(|(_, resource)| (resource.name().clone(), resource.clone())));
        }
        all
    }

    fn get<M: Message + Default>(&self, scopes: &[Scope], kind: ResourceType, name: &str) -> Option<M> {
        self.seen(scopes, kind).get(name).map(|resource| M::decode(resource.value()).unwrap())
    }

    pub(crate) fn cluster(&self, scopes: &[Scope], name: &str) -> Option<Cluster> {
        self.get(scopes, ResourceType::Cluster, name)
    }

    pub(crate) fn assignment(&self, scopes: &[Scope], name: &str) -> Option<ClusterLoadAssignment> {
        self.get(scopes, ResourceType::Endpoints, name)
    }

    pub(crate) fn secret(&self, scopes: &[Scope], name: &str) -> Option<Secret> {
        self.get(scopes, ResourceType::Secret, name)
    }

    pub(crate) fn listener(&self, scopes: &[Scope], name: &str) -> Option<Listener> {
        self.get(scopes, ResourceType::Listener, name)
    }

    pub(crate) fn table(&self, scopes: &[Scope], name: &str) -> Option<RouteConfiguration> {
        self.get(scopes, ResourceType::Routes, name)
    }

    /// Everything that is served, in order: scope, type, name, content.
    pub(crate) fn everything(&self) -> BTreeMap<(String, ResourceType, Arc<str>), Vec<u8>> {
        let key = |scope: &Scope, r: &Resource| (scope.to_string(), r.kind(), r.name().clone());
        self.engine.resources().map(|(scope, r)| (key(scope, r), r.value().to_vec())).collect()
    }

    /// What is served otherwise than in another world: empty where all is the same.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.everything(), other.everything());
        let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let presence = |all: &BTreeMap<_, Vec<u8>>, key| all.get(key).map_or("absent".to_owned(), |v| format!("{v:?}"));
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| format!("{key:?}: {} against {}", presence(&ours, key), presence(&theirs, key)))
            .collect()
    }

    /// The same inputs, translated from scratch.
    pub(crate) fn scratch(&self) -> Self {
        let (engine, _) = Engine::from_scratch(self.index.current(), self.inputs.clone());
        Self { engine, index: Index::default(), inputs: self.inputs.clone() }
    }
}

/// `10.0.0.1:8080` for each endpoint, in order, with its priority, weight and health where they are not the usual ones.
pub(crate) fn addresses(assignment: &ClusterLoadAssignment) -> Vec<String> {
    use tombolo_proto::envoy::envoy::config::{
        core::v3::{HealthStatus, address::Address, socket_address::PortSpecifier},
        endpoint::v3::lb_endpoint::HostIdentifier,
    };
    let mut all = Vec::new();
    for locality in &assignment.endpoints {
        for endpoint in &locality.lb_endpoints {
            let Some(HostIdentifier::Endpoint(e)) = &endpoint.host_identifier else { panic!("{endpoint:?}") };
            let mut text = match e.address.clone().unwrap().address.unwrap() {
                Address::SocketAddress(socket) => match socket.port_specifier {
                    Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
                    other => panic!("{other:?}"),
                },
                Address::Pipe(pipe) => pipe.path,
                other => panic!("{other:?}"),
            };
            if locality.priority > 0 {
                text += &format!(" priority {}", locality.priority);
            }
            if let Some(weight) = &endpoint.load_balancing_weight {
                text += &format!(" weight {}", weight.value);
            }
            if endpoint.health_status() != HealthStatus::Unknown {
                text += &format!(" {}", endpoint.health_status().as_str_name());
            }
            all.push(text);
        }
    }
    all
}
