//! `tombolo-agent`: runs beside each Envoy.

mod app;
mod args;
mod drain;
mod supervisor;
mod wiring;

use args::{Args, Command};
use clap::{CommandFactory, Parser};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use tombolo_core::with_causes;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        None => app::run(&args.run),
        Some(Command::Run(args)) => app::run(&args),
        Some(Command::Drain(args)) => drain::drain(&args),
        Some(Command::Version) => writeln!(io::stdout(), env!("CARGO_PKG_VERSION")).map_err(Into::into),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Args::command(), "tombolo-agent", &mut io::stdout());
            Ok(())
        }
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    _ = writeln!(io::stderr(), "error: {}", with_causes(error.as_ref())); // where nobody reads that, the exit code says it
    ExitCode::from(2)
}
