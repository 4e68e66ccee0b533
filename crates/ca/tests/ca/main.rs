//! Issuing from end to end, mostly without IO: proofs, refusals, rotations, provided files, TLS, garbage.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cacerts;
mod garbage;
mod issue;
mod refusals;
mod rotation;
mod support;
mod tls;
mod tokens;
