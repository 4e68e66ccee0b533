//! Real requests through real Envoys that one `tombolo run` serves: a case for each promise of Gateway and HTTPRoute.
//!
//! All cases share a run (see [`support::World`]); each writes its own routes into the directory, as a user would.

mod support;

mod cors;
mod edge;
mod endpoints;
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
mod timeouts;
mod weights;
