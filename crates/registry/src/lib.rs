//! Every input at one moment: objects by key, and indices over them.
//!
//! [`Index::apply`] and [`Index::delete`] return the keys whose lookup now gives something else: whoever looked one of
//! them up is stale, nobody else is. Synchronous, no client, no async.

mod entry;
mod index;
mod keys;

pub use entry::{Entry, service_host};
pub use index::{Changes, Index, Key, Snapshot};
pub use keys::Keys;

#[cfg(test)]
mod tests;
