//! The last report, kept on disk: its number must never come again for another one.

use super::Report;
use crate::files;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

const LONGEST: u64 = 64 << 10;

/// The file that holds the last report.
#[derive(Clone, Debug)]
pub struct Memory {
    path: PathBuf,
    boot: String,
}

/// The last report cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct MemoryError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    report: Report,
}

impl Memory {
    /// In this state directory, of this start of the machine.
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("health.json"), boot: files::boot() }
    }

    /// The last report, and whether the machine has run ever since.
    ///
    /// # Errors
    /// [`MemoryError`], where there is a file that cannot be read.
    pub(crate) fn recall(&self) -> Result<Option<(Report, bool)>, MemoryError> {
        let failed = |source| MemoryError { what: "read", path: self.path.clone(), source };
        let Some(content) = files::read(&self.path, LONGEST).map_err(failed)? else { return Ok(None) };
        let kept: Kept = serde_json::from_slice(&content).map_err(|error| failed(error.into()))?;
        Ok(Some((kept.report, kept.boot == self.boot)))
    }

    pub(crate) fn keep(&self, report: &Report) -> Result<(), MemoryError> {
        let kept = Kept { boot: self.boot.clone(), report: report.clone() };
        let written = serde_json::to_vec(&kept).map_err(io::Error::from).and_then(|c| files::replace(&self.path, &c));
        written.map_err(|source| MemoryError { what: "write", path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_recalled_with_the_start_it_was_of() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path());
        assert!(memory.recall().unwrap().is_none());
        let report = Report { healthy: Err("refused".into()), sequence: 4 };
        memory.keep(&report).unwrap();
        assert_eq!(memory.recall().unwrap(), Some((report.clone(), true)));
        let later = Memory { boot: "another".into(), ..memory.clone() };
        assert_eq!(later.recall().unwrap(), Some((report, false)));
        std::fs::write(&memory.path, "{").unwrap();
        assert!(memory.recall().unwrap_err().to_string().contains("health.json"));
    }
}
