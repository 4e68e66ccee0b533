//! Incremental translation by recorded reads.
//!
//! A [`Unit`] is the smallest thing that is rebuilt. Its build is a pure function of what it looks up through a [`View`],
//! which records every lookup; when a looked-up thing changes, the units that read it are rebuilt, no others. A unit whose
//! output is equal to what it was stops there. Nobody writes invalidation by hand.
//!
//! What a unit makes: an output that other units read; facts, which are members of [`Relation`]s (sets that units read or
//! that bring units into being); resources in scopes; the status of objects; problems.
//!
//! Units have ranks, and read only what is of a lower rank. So one pass in order of rank settles everything, each unit
//! built once.

mod commit;
mod graph;
mod members;
mod unit;
mod vertex;
mod view;

pub use graph::{Answer, Engine, Needs, Outcome};
pub use unit::{Built, Emits, Fact, GatewayTable, Relation, ServicePortKey, TableKey, Unit, UnitId};
pub use view::View;
