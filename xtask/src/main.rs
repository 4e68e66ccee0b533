//! Chores of the workspace: what is generated, and what the compiler does not check.

#![allow(clippy::print_stdout)] // a command-line program

mod crds;
mod descriptors;
mod generated;
mod golden;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};

/// Chores of the Tombolo workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write the CustomResourceDefinitions to crds/.
    Crds {
        /// Write nothing; fail where a file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Write the descriptors of the Envoy messages that Tombolo emits to crates/proto/src/descriptors.bin.
    Descriptors {
        /// Write nothing; fail where the file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Rewrite what golden tests compare with: crates/controlplane/tests/golden.
    Golden,
    /// Check what the compiler does not: which crate uses which, lengths of files, paths of a machine.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Crds { check } => generated::settle(&crds::files()?, check),
        Chore::Tidy => tidy::run(),
        Chore::Descriptors { check } => generated::settle(&[descriptors::file()?], check),
        Chore::Golden => golden::update(),
    }
}
