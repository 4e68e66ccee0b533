//! Who this workload is: its key, its certificate, and the roots that it trusts; served to Envoy by SDS.
//!
//! Keys are made here and leave only for Envoy and for the state directory. [`Identity`] gets a certificate, keeps it, and
//! renews it at half of its life; [`Current`] is where others see the newest one. What it does not know is the network: it asks
//! an [`Authority`].
//!
//! Two other sources are known, as to Istio's agents: files that somebody else replaces ([`Provided`]), and a provider of SDS
//! that Envoy asks itself. With either, no certificate is asked for. [`Source`] says which one there is.

mod authority;
mod current;
mod files;
mod instance;
mod material;
mod metrics;
mod provided;
mod renewal;
mod request;
mod schedule;
mod source;
mod stored;

pub mod sds;

pub use authority::{Authority, Failure, Proof, Reason};
pub use current::{Current, Publisher, channel};
pub use files::{FilesError, ROOTS};
pub use instance::{InstanceError, instance_id};
pub use material::{Material, MaterialError, PrivateKey};
pub use metrics::Metrics;
pub use provided::Provided;
pub use renewal::{Clock, Config, Handle, Identity};
pub use schedule::Health;
pub use source::Source;
pub use stored::StoredError;

pub(crate) use material::certificates;

#[cfg(test)]
mod tests;
