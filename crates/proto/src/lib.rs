//! Envoy's protobuf types, and resources as they travel: encoded once, shared by every proxy.
//!
//! `translate` makes [`Resource`]s and [`Change`]s, `xds` serves them; the two meet in [`ResourceSet`] and nowhere else.

pub mod agent;
pub mod bootstrap;
pub mod json;

mod resource;
mod set;
mod wire;

pub use resource::{Part, Ref, Resource, ResourceType, Version};
pub use set::{Change, ResourceSet, Scope};
pub use wire::Framing;

/// Envoy's messages. Its gRPC stubs are not used: they copy each payload once per client.
pub use envoy_types::pb as envoy;
