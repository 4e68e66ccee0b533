//! One named Envoy resource, encoded once.

use crate::{
    agent,
    wire::{self, Framing},
};
use bytes::Bytes;
use prost::Message;
use std::{fmt, sync::Arc};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The kinds of xDS resources served, in the order in which additions are sent (make before break); removals go in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// `Cluster` (CDS)
    Cluster,
    /// `ClusterLoadAssignment` (EDS)
    Endpoints,
    /// `Secret` (SDS)
    Secret,
    /// `Listener` (LDS)
    Listener,
    /// `RouteConfiguration` (RDS)
    Routes,
    /// [`NameInfo`](crate::agent::NameInfo): what one host resolves to, for agents. After what answers there: a name that is known
    /// a moment late is looked up again.
    Name,
    /// [`NameTable`](crate::agent::NameTable): all names in one resource, for Istio's agents. Nobody makes it beforehand: the server
    /// puts it together from the names once it is asked for.
    NameTable,
}

impl ResourceType {
    /// Every type, in sending order.
    pub const ALL: [Self; 7] =
        [Self::Cluster, Self::Endpoints, Self::Secret, Self::Listener, Self::Routes, Self::Name, Self::NameTable];

    /// The type URL, as xDS writes it.
    pub const fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Name => agent::NAME,
            Self::NameTable => agent::NAME_TABLE,
        }
    }

    /// The usual three letters: `cds`, `eds`, `sds`, `lds`, `rds`, `nds`; `nds-table` for the table as a whole.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoints => "eds",
            Self::Secret => "sds",
            Self::Listener => "lds",
            Self::Routes => "rds",
            Self::Name => "nds",
            Self::NameTable => "nds-table",
        }
    }

    /// The type of this URL, if it is one served here.
    pub fn from_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.url() == url)
    }
}

/// A resource's version: a hash of its content, so that equal content has an equal version on every replica and revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u128);

impl Version {
    /// The text's version; `None` where it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Another resource that a resource names: a route its cluster, a listener its route table, a cluster its assignment and secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref {
    /// The named resource's type.
    pub kind: ResourceType,
    /// The named resource's name.
    pub name: Arc<str>,
}

/// A run of encoded protobuf fields of one message, shared below resource level: the virtual hosts of a route table, say.
///
/// Protobuf concatenates: the parts of a message in a row are the message.
#[derive(Clone, Debug)]
pub struct Part {
    bytes: Bytes,
    hash: u128,
    refs: Arc<[Ref]>,
}

impl Part {
    /// Encodes a message of the resource's own type, whole or with some of its fields only.
    pub fn of<M: Message>(message: &M, refs: impl Into<Arc<[Ref]>>) -> Self {
        Self::from_bytes(message.encode_to_vec().into(), refs)
    }

    /// Fields that are already encoded.
    pub fn from_bytes(bytes: Bytes, refs: impl Into<Arc<[Ref]>>) -> Self {
        Self { hash: xxh3_128(&bytes), bytes, refs: refs.into() }
    }

    /// The encoded fields.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A hash of the encoded fields.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// The resources that these fields name.
    pub fn refs(&self) -> &Arc<[Ref]> {
        &self.refs
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}
impl Eq for Part {}

/// One named resource as it travels: its parts, its version, and the envelope around them, encoded once.
pub struct Resource {
    kind: ResourceType,
    name: Arc<str>,
    version: Version,
    parts: Box<[Arc<Part>]>,
    envelope: wire::Envelope,
}

impl Resource {
    /// A resource of one part.
    pub fn encode<M: Message>(
        kind: ResourceType,
        name: impl Into<Arc<str>>,
        message: &M,
        refs: impl Into<Arc<[Ref]>>,
    ) -> Self {
        Self::assemble(kind, name, vec![Arc::new(Part::of(message, refs))])
    }

    /// A resource put together from parts that may be shared with others. Costs nothing per byte.
    pub fn assemble(kind: ResourceType, name: impl Into<Arc<str>>, parts: impl Into<Box<[Arc<Part>]>>) -> Self {
        let (name, parts) = (name.into(), parts.into());
        let version = Version(match &*parts {
            [one] => one.hash,
            many => {
                let mut hasher = Xxh3::new();
                many.iter().for_each(|part| hasher.update(&part.hash.to_le_bytes()));
                hasher.digest128()
            }
        });
        let len = parts.iter().map(|part| part.bytes.len()).sum();
        let envelope = wire::Envelope::new(kind, &name, version, len);
        Self { kind, name, version, parts, envelope }
    }

    /// The resource's type.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    /// The resource's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The hash of its content.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The resources that it names, with repetitions.
    pub fn refs(&self) -> impl Iterator<Item = &Ref> {
        self.parts.iter().flat_map(|part| part.refs.iter())
    }

    /// The parts that it is made of.
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// The encoded message, copied together. For tests and for people; serving uses [`Resource::head`] and [`Resource::parts`].
    pub fn value(&self) -> Bytes {
        match &*self.parts {
            [one] => one.bytes.clone(),
            many => many.iter().flat_map(|part| part.bytes.iter().copied()).collect(),
        }
    }

    /// What comes before the parts' bytes where this resource is one entry of a response's `resources` field: the field's tag,
    /// name, version, type. Encoded once, for both protocols.
    pub fn head(&self, framing: Framing) -> &[u8] {
        self.envelope.head(framing)
    }

    /// How many bytes an entry takes: [`Resource::head`] and the parts.
    pub fn frame_len(&self, framing: Framing) -> usize {
        self.envelope.frame_len(framing)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.version, &self.name) == (other.kind, other.version, &other.name)
    }
}
impl Eq for Resource {}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} @{}", self.kind.short(), self.name, self.version)
    }
}
