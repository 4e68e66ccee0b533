//! The benchmarks' program.

mod rows;
mod runner;

use clap::{Args, Parser, Subcommand};
use rows::RowId;
use std::{path::PathBuf, process::ExitCode};
use tombolo_bench::{generator, machine};

/// Figures of memory are the allocator's own, and the allocator is that of `tombolo`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures Tombolo's control plane and its agent: all rows, or those named. See bench/README.md.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where results go.
#[derive(Args)]
struct Output {
    /// Exit with 1 where a row misses its target.
    #[arg(long, global = true)]
    check: bool,
    /// Write the figures to this file as JSON.
    #[arg(long, env = "BENCH_JSON", value_name = "FILE", global = true)]
    json: Option<PathBuf>,
    /// Plot how costs grow to this file [default: bench-growth.svg in the target directory].
    #[arg(long, env = "BENCH_SVG", value_name = "FILE", global = true)]
    svg: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Measure only these rows.
    Row {
        /// Their letters or names.
        #[arg(required = true)]
        rows: Vec<RowId>,
    },
    /// Measure a row in this process, and write what was found as JSON (started by the benchmarks themselves).
    #[command(hide = true)]
    Measure {
        /// Its letter or name.
        row: RowId,
    },
    /// Take one sample of memory in this process (likewise).
    #[command(hide = true)]
    Sample {
        /// Of what.
        subject: rows::MemorySubject,
    },
    /// Be a load generator: take commands from standard input (likewise).
    #[command(hide = true)]
    Generate {
        /// The CPU to keep to.
        #[arg(long)]
        cpu: Option<usize>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { output: Output { check, json, svg }, command } = Arguments::parse();
    let rows = match command {
        Some(Command::Generate { cpu }) => {
            cpu.map_or(Ok(()), machine::pin)?;
            generator::run()?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Measure { row }) => return runner::answer(&rows::measure(row)?),
        Some(Command::Sample { subject }) => return runner::answer(&rows::sample(subject)?),
        Some(Command::Row { rows }) => rows,
        None => RowId::all().to_vec(),
    };
    let report = runner::run(&rows, json.as_deref(), svg)?;
    Ok(ExitCode::from(u8::from(check && !report.met())))
}
