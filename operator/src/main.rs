//! Installs and upgrades control planes: MeshInstallation to MeshRevision to what runs, and MeshRevisionTag to its address.

mod app;
mod apply;
mod args;
mod condition;
mod context;
mod controller;
mod definitions;
mod failure;
mod installation;
mod kinds;
mod leader;
mod metrics;
mod names;
mod pages;
mod proxies;
mod queue;
mod readiness;
mod release;
mod revision;
#[cfg(test)]
mod scripted;
mod status;
mod tag;
mod triggers;
mod watched;
mod watching;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match app::run(args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", tombolo_core::with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
