//! The logs of agents.

use std::{
    convert::Infallible,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};
use tokio::time;

/// Bytes of a log past which it is emptied, and how often to look.
const LONGEST_LOG: u64 = 64 << 20;
const LOG_CHECK: Duration = Duration::from_secs(10);

/// Keeps a log from filling the disk. What is written is appended, so the file may be emptied under the writer.
pub(crate) async fn keep_short(log: &Path) -> Infallible {
    loop {
        time::sleep(LOG_CHECK).await;
        let long = log.metadata().is_ok_and(|metadata| metadata.len() > LONGEST_LOG);
        let emptied = || File::options().write(true).open(log)?.set_len(0);
        if let Some(Err(error)) = long.then(emptied) {
            tracing::warn!(%error, log = %log.display(), "cannot empty a long log");
        }
    }
}

/// The last line of a log that tells of something wrong, or else the last one.
pub(crate) fn last_line(log: &Path) -> Option<String> {
    const TAIL: u64 = 8 << 10;
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let own = |line: &&&str| ["ERROR", "WARN", "rror: "].iter().any(|level| line.contains(level));
    lines.iter().rev().find(own).or(lines.last()).map(ToString::to_string)
}
