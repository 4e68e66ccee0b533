//! The identity, served to Envoy: SDS on a Unix socket, both as whole state and by difference.
//!
//! There are two secrets and no others: the workload's certificate with its key (`default`) and the roots that it trusts
//! (`ROOTCA`). Each has the hash of its content as its version, so that an Envoy that reconnects is sent what differs only.

mod secrets;
mod server;
mod session;
mod stream;
mod verdicts;

pub(super) use server::is_served;
pub use server::{SdsError, SdsServer};
pub use verdicts::Verdicts;
