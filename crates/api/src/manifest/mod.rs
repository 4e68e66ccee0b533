//! Text to objects: where everything that can fail, fails.

mod decode;

pub(crate) use decode::Fields;
pub use decode::{Decoded, decode};
