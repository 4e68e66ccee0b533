//! The units, the relations between them, and what a unit makes.

use super::View;
use crate::{Bind, gateway_api, mesh, names, status::Status, table};
use std::{any::Any, fmt::Debug, hash::Hash, net::IpAddr, sync::Arc};
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{Host, Port, Problem, SourceId, Uid};
use tombolo_proto::{Resource, Scope};
use tombolo_registry::{Entry, Key};

/// The smallest thing that is rebuilt: a name for it, and a pure function from what it looks up to what it makes.
pub trait Unit: Clone + Debug + Into<UnitId> {
    /// What other units read. Where it is equal to what it was, nobody is told.
    type Output: PartialEq + Send + Sync + 'static;

    /// Above the rank of every unit that it reads.
    const RANK: u8;

    /// Makes it; `None` where it does not exist. It exists as long as its object, or the relation that calls for it, does.
    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>>;
}

/// What a unit made.
pub struct Built<O> {
    /// What other units read.
    pub output: O,
    /// What goes elsewhere.
    pub emits: Emits,
}

impl<O> From<O> for Built<O> {
    fn from(output: O) -> Self {
        Self { output, emits: Emits::default() }
    }
}

/// What a unit made besides its output.
#[derive(Default)]
pub struct Emits {
    /// Members of relations. Several units may state the same fact.
    pub facts: Vec<(Relation, Fact)>,
    /// Resources, and who sees them. One unit makes a resource of one scope, type and name.
    pub resources: Vec<(Scope, Arc<Resource>)>,
    /// The status of objects. One unit makes an object's.
    pub statuses: Vec<(ObjectKey, Arc<Status>)>,
    /// Problems that translation found.
    pub problems: Vec<Problem>,
}

impl Emits {
    /// States a fact.
    pub fn fact(&mut self, relation: Relation, fact: Fact) {
        self.facts.push((relation, fact));
    }

    /// Shows a resource to the proxies of a scope.
    pub fn resource(&mut self, scope: Scope, resource: Arc<Resource>) {
        self.resources.push((scope, resource));
    }

    /// Sets the status of an object.
    pub fn status(&mut self, object: ObjectKey, status: Status) {
        self.statuses.push((object, Arc::new(status)));
    }
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKey {
    /// Of a gateway.
    Gateway(Arc<GatewayTable>),
    /// Of the sidecars of a namespace, or, without one, what those have in common: services of one port.
    Sidecar {
        /// The namespace; `None` for what is common to all.
        namespace: Option<Arc<str>>,
        /// The port called.
        port: Port,
    },
    /// Of the HTTP proxies through which workloads of a namespace make their calls, or, without one, what those have in
    /// common: services of every port.
    HttpProxy {
        /// The namespace; `None` for what is common to all.
        namespace: Option<Arc<str>>,
    },
}

/// A route table of a gateway: of one of its ports, and for HTTPS of one listener there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayTable {
    /// The Gateway.
    pub gateway: ObjectKey,
    /// The port listened on.
    pub port: Port,
    /// The HTTPS listener; `None` for plain HTTP, whose listeners share a port's table.
    pub listener: Option<Arc<str>>,
}

impl TableKey {
    /// Whose proxies see it.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Gateway(table) => Scope::gateway(&table.gateway.name.namespace, &table.gateway.name.name),
            Self::Sidecar { namespace, .. } | Self::HttpProxy { namespace } => {
                namespace.as_ref().map_or_else(Scope::public, |namespace| Scope::namespace(namespace))
            }
        }
    }

    /// The table whose virtual hosts this one has besides its own: what all sidecars see, for those of one namespace.
    pub(crate) fn base(&self) -> Option<Self> {
        match self {
            Self::Sidecar { namespace: Some(_), port } => Some(Self::Sidecar { namespace: None, port: *port }),
            Self::HttpProxy { namespace: Some(_) } => Some(Self::HttpProxy { namespace: None }),
            Self::Sidecar { namespace: None, .. } | Self::HttpProxy { namespace: None } | Self::Gateway(_) => None,
        }
    }

    /// The resource's name.
    pub fn name(&self) -> String {
        match self {
            Self::Gateway(table) => match &table.listener {
                None => names::http_table(table.port),
                Some(listener) => {
                    let gateway = &table.gateway.name;
                    names::https_table(table.port, listener, &gateway.name, &gateway.namespace)
                }
            },
            Self::Sidecar { port, .. } => port.to_string(),
            Self::HttpProxy { .. } => names::HTTP_PROXY.to_owned(),
        }
    }
}

/// A set of facts, by what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// [`Fact::Object`]: the workloads of a namespace that have a label.
    Labelled {
        /// Where they come from.
        source: SourceId,
        /// Their namespace.
        namespace: Arc<str>,
        /// The label's key.
        key: Arc<str>,
        /// The label's value.
        value: Arc<str>,
    },
    /// [`Fact::Unit`]: a route table exists.
    Table(TableKey),
    /// [`Fact::Object`] for the routes, [`Fact::Name`] for the listeners, [`Fact::Namespace`] for the services that a virtual host of a table is made from; [`Fact::Unit`] where it is there to hide that of the base table.
    VirtualHost(TableKey, Host),
    /// [`Fact::Host`]: the virtual hosts in one bucket of a table.
    Bucket(TableKey, u8),
    /// [`Fact::Bucket`]: the buckets of a table that hold something.
    Buckets(TableKey),
    /// [`Fact::Object`]: the routes attached to a listener of a Gateway.
    Attached(ObjectKey, Arc<str>),
    /// [`Fact::Unit`]: a Gateway listens on a port.
    GatewayPort(ObjectKey, Port),
    /// [`Fact::Bind`]: where a Gateway's listeners bind, other than everywhere. Comes from outside.
    Bind(ObjectKey),
    /// [`Fact::Unit`]: proxies of Gateways with IPv6 addresses are connected, or were. Comes from outside.
    GatewaysOnIpv6,
    /// [`Fact::Namespace`], of whose definition of the host: the proxies of a scope use a port of a host's service.
    Uses(Scope, Host, Port),
    /// [`Fact::Unit`]: a port of a service exists, so its cluster and its assignment do.
    ServicePort(ServicePortKey),
    /// [`Fact::Unit`]: endpoints of a service's port have names, not addresses, so its cluster must resolve them.
    NamedEndpoints(ServicePortKey),
    /// [`Fact::Unit`]: sidecars of a namespace are connected, or were. Comes from outside.
    SidecarNamespace(Arc<str>),
    /// [`Fact::Unit`]: sidecars of any namespace are connected.
    Sidecars,
    /// [`Fact::Variant`]: kinds of proxies that see endpoints differently. Comes from outside.
    Variants,
    /// [`Fact::Unit`] where HTTP services have the port; [`Fact::Service`]: the other services that sidecars of a scope reach by an address, or by a port alone (an empty address).
    SidecarAddress(Scope, Arc<str>, Port),
    /// [`Fact::Unit`]: a Service without a virtual address has a name for the sidecars of a namespace, or, without one, for all others.
    HeadlessName(Option<Arc<str>>, Host),
    /// [`Fact::Unit`]: a host is to be given addresses. Answered from outside: see [`super::Engine::apply_with`].
    NeedsAddress(Host),
    /// [`Fact::Allocation`]: what became of that. Comes from outside.
    Allocated(Host),
    /// [`Fact::Service`]: the HTTP services that have an address at a port, seen by one namespace, or, without one, by all.
    SidecarVip(Option<Arc<str>>, Arc<str>, Port),
    /// [`Fact::Trust`]: the roots that the mesh trusts. Comes from outside: the certificate authority. Replaced at a rotation,
    /// the new bundle before the old one goes; where there are several, each is trusted. And [`Fact::Name`]: the trust domain of the
    /// identities that it issues, which may not be that of the settings yet.
    Trust,
    /// [`Fact::Unit`]: the mesh trusts some root, so proxies have certificates. Unlike [`Relation::Trust`] it stays as it is
    /// while roots change.
    Rooted,
    /// [`Fact::Health`]: what the agent of a WorkloadEntry last said of its workload; nothing where it has said nothing yet. Comes
    /// from outside.
    Health(ObjectKey),
    /// [`Fact::Unit`]: a workload has a local agent.
    Local(ObjectKey),
    /// [`Fact::Object`]: the workloads with a local agent that have an address.
    LocalAddress(IpAddr),
    /// [`Fact::Inbound`]: the ports at which services reach a workload with a local agent.
    Inbound(ObjectKey),
    /// [`Fact::Unit`]: some workload makes its calls through an HTTP proxy of its own.
    HttpProxies,
    /// [`Fact::Object`]: the workloads and Gateways of a namespace that run as a ServiceAccount. For the outside.
    Holder(Arc<str>, Arc<str>),
    /// [`Fact::Object`]: the WorkloadEntries and WorkloadGroups of a namespace that revoke an instance. For the outside.
    Revoked(Arc<str>, Arc<str>),
    /// [`Fact::Unit`]: Gateways are deployed into a cluster, so where they are reached is known. Comes from outside.
    Provisioned,
    /// [`Fact::Unit`]: routes are stored without what is of the Gateway API's experimental channel. Comes from outside.
    StandardChannel,
    /// [`Fact::Name`]: the addresses or names that a load balancer gave a Service. Comes from outside.
    Ingress(ObjectKey),
    /// [`Fact::Claim`]: the Gateways that name a Service as that of their proxies, the one that has it first.
    Claimed(ObjectKey),
    /// [`Fact::Object`]: the Gateway whose Service a pod of a namespace is behind, where that is deployed by hand. For the outside.
    GatewayPod(Arc<str>, Uid),
    /// [`Fact::Object`]: the Gateways of a source that are reached at its nodes. For the outside.
    OnNodes(SourceId),
    /// [`Fact::Node`]: the nodes of a source that are ready. Comes from outside.
    Nodes(SourceId),
    /// [`Fact::Hindrance`]: what stands in the way of a Gateway's being deployed. Comes from outside.
    Hindered(ObjectKey),
    /// [`Fact::Rejected`]: what proxies of a Gateway reject. Comes from outside.
    Rejected(ObjectKey),
}

/// A member of a relation. What the variants mean, each relation says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each relation says what its members are
pub enum Fact {
    Unit,
    Object(ObjectKey),
    Host(Host),
    Name(Arc<str>),
    Namespace(Arc<str>),
    Bucket(u8),
    Variant(mesh::Variant),
    Bind(Bind),
    Allocation(mesh::Allocation),
    Service { host: Host, namespace: Arc<str> },
    Trust(Arc<str>),
    Health(mesh::Verdict),
    Inbound { port: Port, service: ServicePortKey },
    Hindrance(gateway_api::Hindrance),
    Node(Arc<gateway_api::Node>),
    Rejected(Arc<gateway_api::Rejected>),
    Claim(Arc<gateway_api::Claim>),
}

/// An output whose type is forgotten.
pub(super) trait AnyOutput: Send + Sync {
    fn same(&self, other: &dyn AnyOutput) -> bool;
    fn as_any(&self) -> &dyn Any;
}

impl<T: PartialEq + Send + Sync + 'static> AnyOutput for T {
    fn same(&self, other: &dyn AnyOutput) -> bool {
        other.as_any().downcast_ref().is_some_and(|other| self == other)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A [`Built`] whose type is forgotten.
pub(super) struct AnyBuilt {
    pub(super) output: Box<dyn AnyOutput>,
    pub(super) emits: Emits,
}

macro_rules! units {
    ($($variant:ident($unit:ty)),* $(,)?) => {
        /// A unit of any type.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // each type says what it is
        pub enum UnitId { $($variant($unit)),* }

        impl UnitId {
            pub(super) fn rank(&self) -> u8 {
                match self { $(Self::$variant(_) => <$unit>::RANK),* }
            }

            pub(super) fn build(&self, view: &View<'_>) -> Option<AnyBuilt> {
                match self { $(Self::$variant(unit) => {
                    let Built { output, emits } = unit.build(view)?;
                    Some(AnyBuilt { output: Box::new(output), emits })
                }),* }
            }
        }

        $(impl From<$unit> for UnitId {
            fn from(unit: $unit) -> Self { Self::$variant(unit) }
        })*
    };
}

units! {
    Mesh(mesh::Mesh),
    Workload(mesh::Workload),
    Service(mesh::Service),
    Assignment(mesh::Assignment),
    Cluster(mesh::Cluster),
    EntryStatus(mesh::EntryStatus),
    WorkloadStatus(mesh::WorkloadStatus),
    SidecarNamespace(mesh::SidecarNamespace),
    Sidecars(mesh::Sidecars),
    AddressListener(mesh::AddressListener),
    Trust(mesh::Trust),
    Local(mesh::Local),
    HeadlessName(mesh::HeadlessName),
    Class(gateway_api::Class),
    Gateway(gateway_api::Gateway),
    Manual(gateway_api::Manual),
    Route(gateway_api::Route),
    Rules(gateway_api::Rules),
    VirtualHost(table::VirtualHost),
    Bucket(table::Bucket),
    Table(table::Table),
    Listener(gateway_api::Listener),
    GatewayStatus(gateway_api::GatewayStatus),
    RouteStatus(gateway_api::RouteStatus),
    InScope(mesh::InScope),
}

impl UnitId {
    /// The unit that exists because an object, or an index entry, does.
    pub(super) fn of_key(key: &Key) -> Vec<Self> {
        match key {
            Key::Entry(Entry::Host(host)) => vec![mesh::Service(host.clone()).into()],
            Key::Entry(Entry::All(Kind::MeshInstallation)) => vec![mesh::Mesh.into()],
            Key::Entry(_) => vec![],
            Key::Object(key) => match key.kind {
                Kind::GatewayClass => vec![gateway_api::Class(key.clone()).into()],
                Kind::Gateway => {
                    vec![gateway_api::Gateway(key.clone()).into(), gateway_api::GatewayStatus(key.clone()).into()]
                }
                Kind::HttpRoute => vec![
                    gateway_api::Route(key.clone()).into(),
                    gateway_api::Rules(key.clone()).into(),
                    gateway_api::RouteStatus(key.clone()).into(),
                ],
                Kind::WorkloadEntry => {
                    vec![mesh::Workload(key.clone()).into(), mesh::WorkloadStatus(key.clone()).into()]
                }
                Kind::ServiceEntry => vec![mesh::EntryStatus(key.clone()).into()],
                _ => vec![],
            },
        }
    }

    /// The unit that exists because a relation has members.
    pub(super) fn of_relation(relation: &Relation) -> Vec<Self> {
        match relation.clone() {
            Relation::Table(table) => vec![table::Table(table).into()],
            Relation::VirtualHost(table, host) => vec![table::VirtualHost { table, host }.into()],
            Relation::Bucket(table, bucket) => vec![table::Bucket { table, bucket }.into()],
            Relation::Claimed(service) => vec![gateway_api::Manual(service).into()],
            Relation::GatewayPort(gateway, port) => vec![gateway_api::Listener { gateway, port }.into()],
            Relation::ServicePort(key) => vec![mesh::Assignment(key.clone()).into(), mesh::Cluster(key).into()],
            Relation::Uses(scope, host, port) => vec![mesh::InScope { scope, host, port }.into()],
            Relation::HeadlessName(namespace, host) => vec![mesh::HeadlessName { namespace, host }.into()],
            Relation::SidecarNamespace(namespace) => vec![mesh::SidecarNamespace(namespace).into()],
            Relation::Sidecars => vec![mesh::Sidecars.into()],
            Relation::SidecarAddress(scope, address, port) => {
                vec![mesh::AddressListener { scope, address, port }.into()]
            }
            Relation::Trust => vec![mesh::Trust.into()],
            Relation::Local(workload) => vec![mesh::Local(workload).into()],
            _ => vec![],
        }
    }
}

/// A port of one namespace's definition of a host: what one Envoy cluster stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServicePortKey {
    /// The host.
    pub host: Host,
    /// Whose definition.
    pub namespace: Arc<str>,
    /// The service's port.
    pub port: Port,
}
