//! The relay between a model of Envoy and models of two control planes.

mod control;
mod envoy;
mod laws;
mod world;

pub(crate) use control::resource;

/// Content that clients reject.
const BAD: u8 = 1;
