//! gRPC messages, framed by hand: requests decoded within a limit, responses made of shared bytes.

mod acknowledgement;
mod block;
mod delta;
mod request;
mod response;

pub(crate) use acknowledgement::acknowledgement;
pub use block::Block;
pub(crate) use block::Progress;
pub(crate) use request::{About, Asked, Requests};
pub(crate) use response::{Outgoing, Sent};

/// A gRPC message is preceded by one byte that says whether it is compressed, and four bytes of length.
const PREFIX: usize = 5;
