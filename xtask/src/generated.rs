//! Files that are written by a chore and checked in.

use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::{fs, path::PathBuf};

/// A generated file and the chore that makes it.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Below the workspace's directory.
    pub path: PathBuf,
    /// What it should hold.
    pub content: Vec<u8>,
    /// The command that writes it.
    pub command: &'static str,
}

/// Writes the files that differ, or, to `check`, fails naming the first that does.
pub(crate) fn settle(files: &[Generated], check: bool) -> Result<()> {
    for file in files {
        let path = workspace::root().join(&file.path);
        if fs::read(&path).is_ok_and(|old| old == file.content) {
            continue;
        }
        if check {
            bail!("{} is out of date; run {}", file.path.display(), file.command);
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(&path, &file.content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", file.path.display());
    }
    Ok(())
}
