//! What was accepted last, per resource: what a new Envoy is served from, and what the control plane is told that is held.

mod disk;
mod index;
mod log;
mod memory;
mod secret;

pub(crate) use disk::{Disk, Sync};
pub(crate) use memory::Memory;

use super::{version::Version, wire::Resource};
use std::sync::Arc;

/// A resource type's URL. Few, and shared.
pub(crate) type Kind = Arc<str>;
/// A resource's name. Many, and shared.
pub(crate) type Name = Arc<str>;

/// Accepted resources by type and name.
pub(crate) trait Shelf {
    /// The version that is held; `None` where nothing is.
    fn version(&self, kind: &str, name: &str) -> Option<Version>;
    /// What is held. What cannot be read back is held no more, and is `None` from then on.
    fn get(&mut self, kind: &str, name: &str) -> Option<Resource>;
    /// Holds this in place of what was held.
    fn put(&mut self, kind: &Kind, resource: Resource);
    /// Holds nothing under a name.
    fn remove(&mut self, kind: &str, name: &str);
    /// Every name of a type.
    fn names(&self, kind: &str) -> Vec<Name>;
}

/// A shelf that says how full it is.
pub(crate) trait Keep: Shelf + Send {
    /// How many resources, and how many bytes.
    fn size(&self) -> (usize, usize);
    /// What is to be done for it to last; `None` where it does, or cannot.
    fn sync(&mut self) -> Option<Sync>;
    /// How many resources of a type.
    fn count(&self, kind: &str) -> usize;
}
