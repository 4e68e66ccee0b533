//! The rules of the mesh, one test each.

mod endpoints;
mod merge;
