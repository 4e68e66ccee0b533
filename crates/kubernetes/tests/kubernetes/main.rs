//! Leases, applying and pruning against an API server of a few lines, which is as strict about versions as the real one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod api;
mod apply;
mod lease;
