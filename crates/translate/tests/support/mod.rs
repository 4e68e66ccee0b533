//! What the golden tests are made of.

pub(crate) mod admin;
pub(crate) mod case;
pub(crate) mod envoy;
pub(crate) mod inline;
pub(crate) mod record;
pub(crate) mod served;
