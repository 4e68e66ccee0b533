//! Objects: metadata and a spec of one of the known kinds.

use crate::{
    Kind, Metadata, Report, gateway, istio, kubernetes,
    manifest::{Fault, Parts},
    mesh,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::{fmt, ops::Deref, sync::Arc};
use tombolo_core::{NamespacedName, ObjectRef, SourceId};

/// An object of one kind. Its spec's fields are its own: `gateway.listeners`.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<S> {
    /// Name, namespace, labels and the like.
    pub metadata: Metadata,
    /// The `spec`, or for kinds without one (`EndpointSlice`, `Secret`, …) the top-level fields.
    pub spec: S,
}

impl<S> Deref for Object<S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.spec
    }
}

impl<S: Spec> Object<S> {
    /// Namespace and name.
    pub fn name(&self) -> NamespacedName {
        NamespacedName { namespace: self.metadata.namespace.clone(), name: self.metadata.name.clone() }
    }

    /// How people name it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(S::KIND.name(), self.name())
    }
}

/// What a kind's spec can do: be read and be checked.
pub trait Spec: Kinded + DeserializeOwned + PartialEq + Clone + Send + Sync + 'static {
    /// True for kinds whose fields stand at the top level, not under `spec`.
    const FLAT: bool = false;
    /// False for kinds that say something without a spec too.
    const SPEC_REQUIRED: bool = !Self::FLAT;

    /// The elements that can be served without each other, if there are any.
    const PARTS: Option<Parts> = None;

    /// An element of [`PARTS`](Self::PARTS) cannot be served. May be told several times of one: the first time counts.
    fn set_aside(&mut self, _index: usize, _fault: Fault) {}

    /// Fills in what the kind's schema defaults and the types cannot; called before [`Spec::validate`].
    fn default(_object: &mut Object<Self>) {}

    /// Checks what the types alone cannot: all that the CRD's schema and CEL rules, and Istio's validation, refuse, and a
    /// warning for each field that is understood but not supported.
    fn validate(object: &Object<Self>, report: &mut Report);
}

/// How a kind's spec is known among [`AnyObject`]s.
pub trait Kinded: Sized {
    /// The kind.
    const KIND: Kind;
    /// Forgets the kind.
    fn wrap(object: Arc<Object<Self>>) -> AnyObject;
    /// Remembers the kind.
    fn cast(object: &AnyObject) -> Option<&Arc<Object<Self>>>;
}

macro_rules! kinds {
    ($($variant:ident $($path:ident)::+ $(($flat:ident))?),* $(,)?) => {
        /// An object of any known kind, shared.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // each says what it is
        pub enum AnyObject { $($variant(Arc<Object<$($path)::+>>)),* }

        impl AnyObject {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant),* }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &Metadata {
                match self { $(Self::$variant(o) => &o.metadata),* }
            }

            /// This object with its metadata changed, copied only if it is shared.
            #[must_use]
            pub fn map_metadata(self, change: impl FnOnce(&mut Metadata)) -> Self {
                match self { $(Self::$variant(mut o) => {
                    change(&mut Arc::make_mut(&mut o).metadata);
                    Self::$variant(o)
                }),* }
            }

            /// True where the specs are equal, whatever the metadata.
            pub fn same_spec(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$variant(a), Self::$variant(b)) => a.spec == b.spec,)*
                    _ => false,
                }
            }
        }

        /// Reads and checks an object of a kind: see [`crate::manifest::decode`].
        pub(crate) fn decode_kind(kind: Kind, fields: crate::manifest::Fields, report: &mut Report) -> Option<AnyObject> {
            match kind { $(Kind::$variant => fields.decode::<$($path)::+>(report)),* }
        }

        $(impl Kinded for $($path)::+ {
            const KIND: Kind = Kind::$variant;
            fn wrap(object: Arc<Object<Self>>) -> AnyObject { AnyObject::$variant(object) }
            fn cast(object: &AnyObject) -> Option<&Arc<Object<Self>>> {
                match object { AnyObject::$variant(o) => Some(o), _ => None }
            }
        })*
    };
}

kinds! {
    Namespace kubernetes::Namespace,
    Service kubernetes::Service,
    EndpointSlice kubernetes::EndpointSlice,
    Secret kubernetes::Secret,
    ConfigMap kubernetes::ConfigMap,
    GatewayClass gateway::GatewayClass,
    Gateway gateway::Gateway,
    HttpRoute gateway::HttpRoute,
    ReferenceGrant gateway::ReferenceGrant,
    ServiceEntry istio::ServiceEntry,
    WorkloadEntry istio::WorkloadEntry,
    WorkloadGroup istio::WorkloadGroup,
    MeshInstallation mesh::MeshInstallation,
}

impl AnyObject {
    /// Its key, given where it came from.
    pub fn key(&self, source: SourceId) -> ObjectKey {
        let meta = self.metadata();
        ObjectKey { source, kind: self.kind(), name: NamespacedName::new(meta.namespace.clone(), meta.name.clone()) }
    }
}

/// An object's identity: where it came from, its kind, its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The cluster or directory.
    pub source: SourceId,
    /// The kind.
    pub kind: Kind,
    /// Namespace and name.
    pub name: NamespacedName,
}

impl ObjectKey {
    /// How people name it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.kind.name(), self.name.clone())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A field that is known and not supported: any content is accepted, its presence becomes a warning that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(d).map(|_| Self)
    }
}

/// The same for a mapping, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedMap;

impl<'de> Deserialize<'de> for UnsupportedMap {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde_json::Map::deserialize(d).map(|_| Self)
    }
}
