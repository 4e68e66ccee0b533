//! What the benchmarks are made of: fixtures, a load generator that acts as Envoy does, the floors that results are held
//! against, and the report.
//!
//! The server under test and the [`generator`] are two processes on two CPUs, so that the memory and the CPU time of each can be
//! told apart. They share one clock ([`clock`]), and one mark in the data ([`sequence`]): each edit puts its number into an
//! endpoint's address, and the generator notes when each client has received it.

pub mod clock;
pub mod fixture;
pub mod floor;
pub mod generator;
pub mod machine;
pub mod oracle;
pub mod report;
pub mod sequence;

/// As in the program, so that what reads its statistics can be tested.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
