//! `tombolo validate`

use crate::{
    args::{Report, ValidateArgs},
    load::Loaded,
    terminal::{self, Style, count, paint},
};
use serde_json::json;
use std::process::ExitCode;

/// Checks manifests. 0: nothing wrong, 1: problems.
pub(crate) fn validate(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::read(&args.files)?;
    let problems = loaded.problems();
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let good = errors == 0 && !(args.strict && warnings > 0);
    let objects = loaded.world.snapshot().len();
    match args.output {
        Report::Json => {
            let report = json!({"valid": good, "objects": objects, "ignored": loaded.foreign, "problems": problems});
            terminal::line(&serde_json::to_string_pretty(&report)?);
        }
        Report::Text => {
            problems.iter().for_each(|problem| terminal::line(&terminal::problem(problem)));
            terminal::line(&summary(good, objects, errors, warnings, loaded.foreign));
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn summary(good: bool, objects: usize, errors: usize, warnings: usize, foreign: usize) -> String {
    let verdict = if good { paint(Style::Green, "valid") } else { paint(Style::Red, "not valid") };
    let mut text = format!("{verdict}: {}", count(objects, "object"));
    for (n, noun) in [(errors, "error"), (warnings, "warning")] {
        if n > 0 {
            text.push_str(&format!(", {}", count(n, noun)));
        }
    }
    if foreign > 0 {
        let note = format!(" ({} of other kinds passed over)", count(foreign, "document"));
        text.push_str(&paint(Style::Dim, &note));
    }
    text
}
