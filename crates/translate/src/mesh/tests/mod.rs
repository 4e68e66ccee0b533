//! The rules of the mesh, one test each.

mod endpoints;
mod envoy;
mod merge;
mod sidecar;
