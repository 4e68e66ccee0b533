//! What the next agent must know to take an Envoy over.

use crate::files;
use serde::{Deserialize, Serialize};
use std::{io, path::Path};
use tombolo_process::Identity;

/// A record is much shorter; whatever is longer is not one.
const LONGEST: u64 = 4096;

/// Which process is our Envoy, and what it was started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The process.
    pub(crate) process: Identity,
    /// The start of the machine that it runs since: after another one, another process may have its pid and start time.
    pub(crate) boot: String,
    /// What it was started from, as a hash: one that was started from something else is replaced.
    pub(crate) bootstrap: String,
}

impl Record {
    /// What was last written down. A file that is no record is passed over, with a word: without it Envoy is started anew.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let read = files::read(path, LONGEST).and_then(|content| {
            content.map(|content| serde_json::from_slice(&content).map_err(io::Error::from)).transpose()
        });
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "this record of an Envoy cannot be read and is passed over");
            None
        })
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        files::replace(path, &serde_json::to_vec(self)?)
    }

    /// Forgets an Envoy that has ended.
    pub(crate) fn forget(path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("envoy.json");
        assert_eq!(Record::read(&path), None);
        let record = Record { process: Identity { pid: 7, started: 9 }, boot: "b".into(), bootstrap: "x".into() };
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path), Some(record));
        Record::forget(&path).unwrap();
        Record::forget(&path).unwrap();
        assert_eq!(Record::read(&path), None);
    }

    proptest! {
        #![proptest_config(crate::testing::some())]

        #[test]
        fn a_file_of_anything_is_no_record_and_no_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("envoy.json");
            std::fs::write(&path, content).unwrap();
            prop_assert_eq!(Record::read(&path), None);
        }
    }
}
