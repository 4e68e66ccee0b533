//! Issuing from end to end, mostly without IO: proofs, refusals, rotations, provided files, TLS, garbage.
#![allow(clippy::unwrap_used, clippy::panic)]

mod issue;
mod support;
