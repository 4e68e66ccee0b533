//! An Envoy's life, on a real Envoy: started, ready, dead, started again, taken over, drained, ended.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod agent;
mod drain;
mod keep;
mod support;
mod take_over;
