//! One control plane over ports: sources of objects go in, xDS resources and statuses come out.
//!
//! ```text
//! Source ──► graph thread: Index ──► Engine ──► Hub ──► proxies
//! (thread)       │ one writer            └──► statuses, problems ──► observers
//!                └── queries, facts about connected proxies
//! ```
//!
//! [`ControlPlane`] is the handle. [`World`] is what the graph thread owns: it works without threads too, which is how
//! `tombolo validate` and `tombolo translate` run the code that serves. No Kubernetes client here.

pub mod admin;
pub mod directory;

mod allocate;
mod classify;
mod graph;
mod health;
mod identity;
mod manual;
mod metrics;
mod port;
mod rejections;
mod revocations;
mod store;

pub use allocate::Allocator;
pub use graph::{Applied, Cause, ControlPlane, Edited, Finding, Setup, TimedStatus, World};
pub use health::HealthReport;
pub use identity::{Identity, IdentityError, IdentitySetup, Inhabitants, ProvidedFiles, SecureFront, directory_uid};
pub use metrics::Metrics;
pub use port::{Clock, Edit, Sink, Source, Stopped, SystemClock, Update};
pub use rejections::{AskError, Elsewhere, Part, PartAt, RejectedPart, Report};
pub use store::{FileStore, Store, StoreError, hash, slug};
