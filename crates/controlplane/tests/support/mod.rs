//! What the golden tests are made of.

pub(crate) mod admin;
pub(crate) mod case;
#[path = "../../../translate/tests/support/envoy.rs"]
pub(crate) mod envoy;
#[path = "../../../translate/tests/support/inline.rs"]
pub(crate) mod inline;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod sds;
pub(crate) mod served;
