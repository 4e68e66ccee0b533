//! Real requests through real Envoys that one `tombolo run` serves: a case for each promise of Gateway and HTTPRoute.
//!
//! All cases share a run (see [`support::World`]); each writes its own routes into the directory, as a user would.

#![allow(clippy::unwrap_used, clippy::panic)] // what a test's helpers cannot have fails the test
#![allow(clippy::print_stdout)] // a test that is skipped says so

mod support;

mod cors;
mod edge;
mod endpoints;
mod gateways;
mod headers;
mod hosts;
mod https;
mod live;
mod matching;
mod mirrors;
mod parents;
mod protocols;
mod redirects;
mod references;
mod retries;
mod rewrites;
mod services;
mod timeouts;
mod weights;
