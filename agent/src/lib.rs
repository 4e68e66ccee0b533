//! What runs beside each Envoy: its identity, its config, its names, its health and its life.

pub mod admin;
pub mod config;
pub mod dns;
pub mod envoy;
mod files;
pub mod health;
pub mod identity;
mod packed;
pub mod state;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod upstream;
