//! What runs beside each Envoy: its identity, its config, its names, its health and its life.

pub mod dns;
pub mod envoy;
pub mod health;
pub mod identity;
pub mod state;
pub mod stream;
pub mod upstream;
