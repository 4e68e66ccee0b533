//! What every program with a Kubernetes client needs: who leads, what is applied, what is told. No knowledge of the mesh.
//!
//! | module | what it is for |
//! |-|-|
//! | [`lease`] | leader election: one of several replicas does a duty |
//! | [`apply`] | server-side apply that writes nothing where nothing changed |
//! | [`conditions`] | merging conditions without touching others' |
//! | [`program`] | what every such program begins and ends with: its log, its client, its signals |
//! | [`retry`] | what a client's error means, and how long to wait |
//! | [`watch`] | following the objects of a kind, and how long to wait before a watch that failed is begun again |

pub mod apply;
pub mod conditions;
pub mod lease;
pub mod program;
pub mod retry;
pub mod watch;
