//! The benchmarks' program.

use clap::{Parser, Subcommand};
use tombolo_bench::{generator, machine};

/// Figures of memory are the allocator's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures Tombolo's control plane.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be a load generator: take commands from standard input (started by the benchmarks themselves).
    #[command(hide = true)]
    Generate {
        /// The CPU to keep to.
        #[arg(long)]
        cpu: Option<usize>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Generate { cpu } => {
            cpu.map_or(Ok(()), machine::pin)?;
            Ok(generator::run()?)
        }
    }
}
