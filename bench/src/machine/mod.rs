//! The machine that is measured on: CPUs, memory, CPU time, limits.

mod cpu;
mod limits;
mod memory;

pub use cpu::{cpu_time, cpus, pin, run_time};
pub use limits::raise_descriptor_limit;
pub use memory::{Resident, anonymous, live_heap, peak, resident};

/// A figure of the machine could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
    /// A file under `/proc` is not as documented (proc(5)).
    #[error("{file} has no {field}")]
    Format {
        /// The file.
        file: String,
        /// What was looked for in it.
        field: &'static str,
    },
    /// The process was not built with jemalloc, or without its statistics.
    #[error("jemalloc has no statistics: {0}")]
    Jemalloc(tikv_jemalloc_ctl::Error),
}

fn system(what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> MachineError {
    move |errno| MachineError::System { what: what.into(), source: errno.into() }
}

fn read(file: &str) -> Result<String, MachineError> {
    std::fs::read_to_string(file).map_err(|source| MachineError::System { what: format!("reading {file}"), source })
}
