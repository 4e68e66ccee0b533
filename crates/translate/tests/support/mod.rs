//! What the golden tests are made of.

pub mod admin;
pub mod case;
pub mod envoy;
pub mod inline;
pub mod record;
pub mod served;
