//! The words every crate shares: names and ids that are valid once they exist, [`Problem`], a user's mistake as a value, and
//! [`Numbers`], sets of what has numbers. And [`Slab`] and [`trim`], for what things come to and go from.
//!
//! Nothing here knows Kubernetes clients, async or Envoy.

mod causes;
mod field;
mod identity;
mod ids;
mod names;
mod numbers;
mod problem;
mod slab;
mod source;
mod trim;
mod uid;

pub use causes::with_causes;
pub use field::FieldPath;
pub use identity::{IdentityError, InstanceId, SpiffeId, TrustDomain};
pub use ids::{NamespacedName, ObjectRef, ProxyId, ProxyIdError, ProxyKind};
pub use names::{Host, HostError, Port, PortError};
pub use numbers::Numbers;
pub use problem::{Origin, Problem, Severity};
pub use slab::Slab;
pub use source::SourceId;
pub use trim::{room, trim, trim_vec};
pub use uid::Uid;
