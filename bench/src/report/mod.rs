//! Results: figures held against targets, as a table for people and as JSON for programs, and growth curves.

mod curve;
mod plot;
mod row;
mod sample;

pub use curve::{Fit, FitError, exponent, slope};
pub use plot::{Curve, Plot};
pub use row::{Bound, Report, Row};
pub use sample::{Pairs, Spread, median};
