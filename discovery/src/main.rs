//! One revision's control plane in a cluster: watch, translate, serve.

mod admission;
mod app;
mod args;
mod gateways;
mod identity;
mod metrics;
mod observed;
mod replicas;
mod status;
mod watch;
mod watched;

use clap::Parser;
use std::process::ExitCode;

// Memory per client is a benchmarked figure: jemalloc returns freed pages.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match app::run(args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", tombolo_core::with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
