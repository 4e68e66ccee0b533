//! Who runs on which CPU, and what is recorded for floors.

use std::{env, path::PathBuf, time::Duration};
use tombolo_bench::{
    generator::{Generator, GeneratorError, Transcript},
    machine,
};

/// How long anything that clients wait for may take: past it the row has failed.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The server on the first CPU, the load generators on the second. Where there is one CPU only, nothing is pinned.
pub(super) struct Stage {
    program: PathBuf,
    server_cpu: Option<usize>,
    generator_cpu: Option<usize>,
}

impl Stage {
    /// Pins this thread, and so all that it starts from now on, generators excepted.
    pub(super) fn set() -> anyhow::Result<Self> {
        machine::raise_descriptor_limit()?;
        let (server_cpu, generator_cpu) = match *machine::cpus()? {
            [server, generator, ..] => {
                machine::pin(server)?;
                (Some(server), Some(generator))
            }
            _ => (None, None),
        };
        Ok(Self { program: env::current_exe()?, server_cpu, generator_cpu })
    }

    /// What this starts is on the CPU of the load generators.
    pub(super) fn beside<T>(&self, start: impl FnOnce() -> T) -> anyhow::Result<T> {
        self.generator_cpu.map_or(Ok(()), machine::pin)?;
        let started = start();
        self.server_cpu.map_or(Ok(()), machine::pin)?;
        Ok(started)
    }

    /// A load generator without clients.
    pub(super) fn generator(&self) -> Result<Generator, GeneratorError> {
        Generator::start(&self.program, self.generator_cpu)
    }
}

/// Writes down what the first client receives during an act.
pub(super) fn record(
    generator: &mut Generator,
    act: impl FnOnce(&mut Generator) -> anyhow::Result<()>,
) -> anyhow::Result<Transcript> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("transcript");
    generator.record()?;
    act(generator)?;
    generator.save(&path)?;
    Ok(Transcript::load(&path)?)
}
