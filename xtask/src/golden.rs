//! Makes the records of the golden tests what translation gives now.

use anyhow::{Context as _, ensure};
use std::{env, process::Command};

/// Rewrites the records of every case, and removes those of no case. The change is then to be read, like any other.
pub(crate) fn update() -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--package", "tombolo-controlplane", "--test", "golden", "everything_is_as_recorded"])
        .env("UPDATE_GOLDEN", "1")
        .status()
        .context("cargo could not be started")?;
    ensure!(status.success(), "the golden test failed: see above");
    Ok(())
}
