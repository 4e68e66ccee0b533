//! The identity end to end: a control plane over TLS, a state directory, and a real Envoy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod ca;
mod control_plane;
mod envoy;
mod frozen;
mod listener;
mod renewals;
mod secrets;
mod socket;
mod sources;
mod upstream;
mod world;
