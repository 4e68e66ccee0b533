//! What identity and the agent promise, on real processes: `tombolo run`, its agents and their Envoys, with requests all the while.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test's helpers fail as tests do

mod agents;
mod app;
mod capture;
mod client;
mod load;
mod outage;
mod refusal;
mod renewal;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod world;
