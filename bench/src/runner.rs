//! Rows one after the other, each in a process of its own: what one leaves in memory is not another's.

use crate::rows::{Measured, RowId};
use anyhow::{Context as _, bail};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};
use tombolo_bench::report::{Plot, Report};

/// Measures rows, and says so as it goes. What cannot be measured is a miss, with the reason.
pub(crate) fn run(rows: &[RowId], json: Option<&Path>, svg: Option<PathBuf>) -> anyhow::Result<Report> {
    let (mut report, mut curves) = (Report::default(), Vec::new());
    for row in rows {
        let start = Instant::now();
        writeln!(io::stderr(), "measuring {row} …")?;
        let measured =
            child::<Measured>(&["measure", &row.to_string()], &[]).unwrap_or_else(|error| row.failed(&error));
        measured.rows.into_iter().for_each(|row| report.add(row));
        curves.extend(measured.curves);
        writeln!(io::stderr(), "  {:.0} s", start.elapsed().as_secs_f64())?;
    }
    writeln!(io::stdout(), "{report}")?;
    if let Some(path) = json {
        report.save(path).with_context(|| path.display().to_string())?;
    }
    if !curves.is_empty() {
        let path = svg.map_or_else(default_plot, Ok)?;
        let (title, x, y) = ("Cost against size".into(), "services".into(), "microseconds of CPU time".into());
        std::fs::write(&path, Plot { title, x, y, curves }.to_string()).with_context(|| path.display().to_string())?;
        writeln!(io::stdout(), "growth curves: {}", path.display())?;
    }
    Ok(report)
}

/// Runs this program again, and reads what it answers.
pub(crate) fn child<T: DeserializeOwned>(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<T> {
    let mut command = Command::new(env::current_exe()?);
    // Its error is a row's note: no stack in it.
    command
        .env("RUST_BACKTRACE", "0")
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The other side of [`child`].
pub(crate) fn answer(value: &impl Serialize) -> anyhow::Result<ExitCode> {
    serde_json::to_writer(io::stdout().lock(), value)?;
    Ok(ExitCode::SUCCESS)
}

/// Beside this program's directory: in Cargo's target directory, for who runs it with Cargo.
fn default_plot() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("the program is in no directory")?;
    Ok(target.join("bench-growth.svg"))
}
