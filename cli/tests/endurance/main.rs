//! What is promised over time, on real processes: `tombolo run`, its agents and their Envoys, with requests all the while.
//!
//! In one program, so that tests which wait run at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test's helpers fail as tests do

mod agents;
mod app;
mod capture;
mod client;
mod load;
mod outage;
mod provided;
mod refusal;
mod renewal;
mod rotation;
mod steady;
#[path = "../support/mod.rs"]
mod support;
mod world;
