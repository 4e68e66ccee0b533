//! Where an Envoy's own log goes, and what its last words were.

use std::{
    convert::Infallible,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// Bytes of a log past which it is emptied, and how often to look.
const LONGEST: u64 = 64 << 20;
const CHECK: Duration = Duration::from_secs(10);
/// How much of its end is searched for last words.
const TAIL: u64 = 8 << 10;

/// Where an Envoy's log goes, its access log to standard output included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// To where the agent's own goes: in containers.
    Inherit,
    /// To a file, emptied when Envoy starts and past 64 MiB: its end explains a crash, even to the next agent.
    File(PathBuf),
}

impl Log {
    /// What to start Envoy with: standard output and standard error.
    pub(crate) fn open(&self) -> io::Result<(Stdio, Stdio)> {
        let Self::File(path) = self else { return Ok((Stdio::inherit(), Stdio::inherit())) };
        drop(OpenOptions::new().create(true).write(true).truncate(true).open(path)?);
        // Appending: Envoy opens the access log anew by the name of its standard output.
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((file.try_clone()?.into(), file.into()))
    }

    /// Keeps a log from filling the disk. What is written is appended, so the file may be emptied under the writer.
    pub(crate) async fn keep_short(&self) -> Infallible {
        let Self::File(path) = self else { return std::future::pending().await };
        loop {
            tokio::time::sleep(CHECK).await;
            let long = path.metadata().is_ok_and(|metadata| metadata.len() > LONGEST);
            let emptied = || File::options().write(true).open(path)?.set_len(0);
            if let Some(Err(error)) = long.then(emptied) {
                tracing::warn!(%error, log = %path.display(), "cannot empty a long log");
            }
        }
    }

    /// The last line of Envoy's own; access log lines are passed over where there are others.
    pub(crate) fn last_words(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let text = tail(path).ok()?;
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let own = |line: &&&str| ["[critical]", "[error]", "[warning]"].iter().any(|level| line.contains(level));
        lines.iter().rev().find(own).or(lines.last()).map(ToString::to_string)
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_envoys_own_where_it_said_any() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Log::File(path.clone());
        assert_eq!(log.last_words(), None);
        std::fs::write(&path, "[x][critical][main] no room\n{\"path\":\"/\"}\n\n").unwrap();
        assert_eq!(log.last_words().unwrap(), "[x][critical][main] no room");
        std::fs::write(&path, "GET /\n").unwrap();
        assert_eq!(log.last_words().unwrap(), "GET /");
    }
}
