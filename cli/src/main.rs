//! `tombolo`: checks manifests, shows what proxies would get and what they got, and runs a mesh without Kubernetes.

mod args;
mod load;
mod proxies;
mod run;
mod terminal;
mod translate;
mod validate;

use args::{Args, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;
use tombolo_core::with_causes;

/// Clients' memory and live heap are figures that are kept: jemalloc gives freed pages back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Validate(args) => validate::validate(&args),
        Command::Translate(args) => translate::translate(&args),
        Command::Run(args) => run::run(*args),
        Command::Status(args) => proxies::status(&args),
        Command::ProxyConfig(args) => proxies::proxy_config(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "tombolo", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        terminal::error(&with_causes(error.as_ref()));
        ExitCode::from(2)
    })
}
