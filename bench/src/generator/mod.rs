//! A load generator for xDS: many clients in one process, each with a TCP connection and a delta ADS stream of its own, each doing
//! what an Envoy does.
//!
//! It runs as a process of its own, so that its memory and CPU time are not taken for the server's. [`Generator`] is its handle;
//! [`run`] is what the process does; in between are [`Command`]s and replies, a line of JSON each.

mod catalog;
mod client;
mod content;
mod counter;
mod process;
mod protocol;
mod remote;
mod request;
mod response;
mod session;
mod table;
#[cfg(test)]
mod testing;
mod transcript;
mod wire;
mod world;

pub use counter::{RequestCounter, RequestError};
pub use process::run;
pub use protocol::{Arrivals, Command, Holding, Holdings, Received, Reply, Settled};
pub use remote::{Generator, GeneratorError};
pub use transcript::{Message, Transcript};
