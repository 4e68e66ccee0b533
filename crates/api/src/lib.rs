//! Every kind of object that Tombolo reads, written once, and the edge where text becomes objects.
//!
//! [`manifest`] turns YAML into [`AnyObject`]s and problems. What deserializes and validates cannot be wrong afterwards:
//! numbers are in range, unions hold one variant, names are names. No client, no I/O.

pub mod gateway;
pub mod istio;
pub mod kubernetes;
pub mod manifest;
pub mod mesh;

mod duration;
mod kind;
mod labels;
mod metadata;
mod object;
mod report;
mod syntax;

pub use duration::{Duration, DurationError};
pub use kind::Kind;
pub use labels::Labels;
pub use metadata::{LabelSelector, Metadata, Requirement, SelectorOperator, Timestamp};
pub use object::{AnyObject, Kinded, Object, ObjectKey, Spec, Unsupported, UnsupportedMap};
pub use report::Report;
