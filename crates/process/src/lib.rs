//! Processes that outlive whoever starts them, where they can listen, and how long to wait before something is tried again.
//!
//! An agent leaves its Envoy running when it ends, and `tombolo run` its agents; whoever comes next takes them over. So a process is
//! remembered as an [`Identity`], which can be written down, and a [`Process`] is watched and ended in the same way whether it is our
//! child or not. What dies is started again by a [`Backoff`]; connections are dialled again by the same one.

mod backoff;
mod identity;
mod listen;
mod process;

pub use backoff::Backoff;
pub use identity::Identity;
pub use listen::listenable;
pub use process::{Ending, Process};
