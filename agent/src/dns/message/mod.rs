//! Messages as they are on the wire: questions are read, answers are written. Pure.

mod answer;
mod query;
mod reply;

pub(crate) use answer::answer;
pub(crate) use query::{Malformed, Query, Refusal, Transport, read};
pub(crate) use reply::{failure, refusal, relay, reply};

/// What is offered to clients as the largest message over UDP. They are on this machine, where nothing is fragmented.
pub(crate) const PAYLOAD: u16 = 4096;
/// How long answers of the mesh may be kept, in seconds. An endpoint that went may be called for this long.
pub(crate) const TTL: u32 = 30;
