//! Objects to Envoy's configuration: pure, incremental, deterministic.
//!
//! `gateway_api` and `mesh` turn objects into the intermediate representation of [`ir`] and problems; `envoy` turns that
//! into Envoy's messages. [`engine`] decides what is rebuilt.

pub mod engine;
pub mod ir;
pub mod names;
pub mod status;

mod envoy;
pub mod gateway_api;
pub mod mesh;
pub mod table;
#[cfg(test)]
mod testing;

pub use engine::{Engine, Outcome};
pub use envoy::Bind;
pub use mesh::{Allocation, AutoAddress, Interception, Variant, scopes};
