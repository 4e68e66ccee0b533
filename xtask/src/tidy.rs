//! What the compiler does not check: which crate may use which, how long files are, and what must not be in them.

mod arrows;
mod files;

use crate::workspace;
use anyhow::{Result, bail};

/// Prints warnings and violations; fails where there are violations.
pub(crate) fn run() -> Result<()> {
    let metadata = workspace::metadata()?;
    let tracked = files::tracked()?;
    let mut violations = arrows::violations(&arrows::edges(&metadata));
    violations.extend(files::lints(&metadata)?);
    let lengths = files::lengths(&tracked)?;
    lengths.iter().filter(|l| !l.is_violation()).for_each(|l| println!("warning: {l}"));
    violations.extend(lengths.iter().filter(|l| l.is_violation()).map(ToString::to_string));
    violations.extend(files::machine_paths(&tracked)?);
    if violations.is_empty() {
        return Ok(());
    }
    violations.iter().for_each(|violation| println!("error: {violation}"));
    bail!("{} to mend", violations.len())
}
