//! The writer against an API server of a few lines, which is as strict about versions as the real one.

mod api;
mod merge;
mod queue;
mod revision;
mod writer;
