//! What the cases stand on: the run, the backends behind it, a client before it.

mod certificates;
mod client;
mod deadline;
mod echo;
#[path = "../../support/ports.rs"]
mod ports;
mod run;
mod world;

pub(crate) use certificates::Certificate;
pub(crate) use client::{Answer, Ask};
pub(crate) use deadline::eventually;
pub(crate) use ports::free_ports;
pub(crate) use world::{World, route, route_of, traffic};
