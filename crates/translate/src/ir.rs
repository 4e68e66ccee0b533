//! What is to be served, free of Kubernetes' words and of Envoy's.

mod identity;

pub use identity::{Inbound, MeshTls};

use crate::names;
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};
use tombolo_api::gateway::{CorsFilter, HeaderModifier, HttpMatch, RedirectScheme};
use tombolo_core::{Host, Port};

// === Routes ===

/// The requests for some host names, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Unique in its table.
    pub name: String,
    /// Host names: exact, `*.suffix`, or `*`.
    pub domains: Vec<String>,
    /// Tried in this order; 404 where none matches.
    pub routes: Vec<Route>,
}

/// One match, and the rule that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// `NAMESPACE/ROUTE/RULE` for access logs.
    pub name: String,
    /// What the request must be like.
    pub matches: HttpMatch,
    /// What becomes of it; shared by the matches of a rule.
    pub rule: Arc<Rule>,
}

/// What becomes of the requests of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// The last step.
    pub action: Action,
    /// Changes to every request.
    pub request_headers: HeaderModifier,
    /// Changes to every response.
    pub response_headers: HeaderModifier,
    /// Cross-origin questions that are answered.
    pub cors: Option<Box<CorsFilter>>,
    /// Copies that are sent elsewhere.
    pub mirrors: Vec<Mirror>,
}

/// The last step of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// To a backend.
    Forward(Forward),
    /// Answered with another place.
    Redirect(Redirect),
    /// Answered at once with a status.
    Respond(u16),
}

/// To a backend, by share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forward {
    /// At least one of a weight above zero.
    pub shares: Vec<Share>,
    /// The `Host` to send.
    pub host: Option<Host>,
    /// How the path changes.
    pub path: Option<PathChange>,
    /// For the whole answer; `None` for no limit.
    pub timeout: Option<Duration>,
    /// For one try; `None` for no limit.
    pub try_timeout: Option<Duration>,
    /// When to try again besides the default: connect failures and refused streams.
    pub retry: Option<Retry>,
    /// Whether one client's requests go to one endpoint: a share's service asks for it.
    pub client_affinity: bool,
}

/// A share of a rule's requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The service's port; `None` for a backend that is not there: answered with 500.
    pub backend: Option<Backend>,
    /// Relative to the sum.
    pub weight: u32,
    /// Changes to this share's requests.
    pub request_headers: HeaderModifier,
    /// Changes to this share's responses.
    pub response_headers: HeaderModifier,
    /// The `Host` to send for this share.
    pub host: Option<Host>,
}

/// A service's port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Backend {
    /// The service's host.
    pub host: Host,
    /// The service's port.
    pub port: Port,
    /// Whose definition of the host.
    pub namespace: Arc<str>,
}

impl Share {
    /// True where the share is a backend and nothing else.
    pub fn is_plain(&self) -> bool {
        let none = HeaderModifier::default();
        self.request_headers == none && self.response_headers == none && self.host.is_none()
    }
}

/// How a path changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum PathChange {
    /// All of it becomes this.
    Full(Arc<str>),
    /// The prefix that matched becomes this.
    Prefix(Arc<str>),
}

/// Another place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Redirect {
    /// The request's where absent.
    pub scheme: Option<RedirectScheme>,
    /// The request's where absent.
    pub host: Option<Host>,
    /// As the rule says it; where absent the scheme's, or the listener's.
    pub port: Option<Port>,
    /// The request's where absent.
    pub path: Option<PathChange>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// On these statuses.
    pub codes: Vec<u16>,
    /// How often at most.
    pub attempts: u32,
    /// The least time between tries.
    pub backoff: Option<Duration>,
}

impl Backend {
    /// The name of its cluster.
    pub fn cluster(&self) -> String {
        names::cluster(&self.host, self.port)
    }
}

/// Copies that are sent elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mirror {
    /// Where.
    pub backend: Backend,
    /// Of a million requests.
    pub parts_per_million: u32,
}

// === Listeners of gateways ===

/// A port that a gateway listens on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// The port.
    pub port: Port,
    /// What is spoken there.
    pub chains: Chains,
}

/// Who is answered how on a port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Chains {
    /// Plain HTTP, from one route table.
    Http {
        /// The route table's name.
        table: String,
    },
    /// HTTPS, by the name that the client asks for (SNI).
    Https(Vec<TlsChain>),
}

/// Those who ask for one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsChain {
    /// The name asked for; every other name where absent.
    pub sni: Option<Host>,
    /// The certificates' resource names.
    pub certificates: Vec<String>,
    /// The route table's name.
    pub table: String,
}

// === Services ===

/// A port of a service, as proxies reach it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// See [`crate::names::cluster`].
    pub name: String,
    /// How endpoints are found.
    pub discovery: Discovery,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// Whether one client's requests go to one endpoint (`sessionAffinity: ClientIP`).
    pub client_affinity: bool,
    /// How endpoints with a proxy are spoken to; `None` where all are spoken to in the clear.
    pub mesh_tls: Option<MeshTls>,
}

/// How a cluster finds its endpoints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Discovery {
    /// They are told by EDS, and change without the cluster.
    Assigned,
    /// Names, all of whose addresses are used.
    Dns(Vec<Endpoint>),
    /// Names, of which one address is used at a time.
    DnsRoundRobin(Vec<Endpoint>),
    /// The address that the client connected to.
    Original,
    /// The name that the request carries, at this port.
    Dynamic(Port),
}

/// What a sidecar does with the connections of its workload to an address and a port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outbound {
    /// The address; `None` for all that have no listener of their own.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: Port,
    /// Those that are told apart. No two match alike.
    pub chains: Vec<OutboundChain>,
    /// All others.
    pub otherwise: OutboundTarget,
}

/// Connections that are told apart from others to the same port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutboundChain {
    /// By what.
    pub matches: OutboundMatch,
    /// Where they go.
    pub target: OutboundTarget,
}

/// What tells connections to one port apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum OutboundMatch {
    /// The addresses of a network: its address, and the length of its prefix in bits.
    Network(IpAddr, u8),
    /// The name that TLS asks for (SNI).
    ServerName(Host),
}

/// Where a workload's connections go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum OutboundTarget {
    /// They are HTTP, and a route table says where each request goes.
    Table(String),
    /// All to one cluster.
    Cluster {
        /// The cluster's name.
        name: String,
        /// Whether one client's connections go to one endpoint.
        client_affinity: bool,
    },
    /// Each to the host that its TLS asks for.
    Dynamic {
        /// The cluster's name.
        name: String,
        /// The host's port.
        port: Port,
    },
}

/// What is spoken to a service's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Protocol {
    /// HTTP/1.1, with upgrades.
    Http,
    /// HTTP/2 from the first byte: `http2`, `grpc`, `kubernetes.io/h2c`.
    Http2,
    /// TLS that the workload itself ends.
    Tls,
    /// Bytes.
    Tcp,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    /// 0 is used first.
    pub priority: u32,
    /// Where it is.
    pub locality: Locality,
    /// Where to connect.
    pub address: Address,
    /// Relative to its locality's others, and by their sum to other localities; at least 1.
    pub weight: u32,
    /// Whether it takes new requests.
    pub health: Health,
    /// What proxies should know of it.
    pub about: About,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Address {
    /// An address and a port.
    Ip(IpAddr, Port),
    /// A name that is resolved, and a port.
    Name(Arc<str>, Port),
    /// A Unix socket's path.
    Pipe(Arc<str>),
}

/// `region/zone/subzone`, from the left; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Locality {
    /// Region.
    pub region: Arc<str>,
    /// Zone.
    pub zone: Arc<str>,
    /// Subzone.
    pub subzone: Arc<str>,
}

/// Whether an endpoint takes new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Health {
    /// It does.
    Healthy,
    /// It ends what it has.
    Draining,
    /// It does not, for now.
    Unhealthy,
}

/// What proxies should know of an endpoint: carried as its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct About {
    /// Its network.
    pub network: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Whose identity it has; empty where unknown.
    pub service_account: Arc<str>,
    /// Its workload's name; empty where unknown.
    pub workload: Arc<str>,
    /// Whether it has a proxy that takes the mesh's mutual TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
}

/// Labels, ordered.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;
