//! How long files are, and what must not be in them.

use crate::workspace;
use anyhow::{Context as _, Result, bail};
use cargo_metadata::Metadata;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Longer than this is worth a second look.
const LONG: usize = 400;
/// Longer than this is several ideas.
const TOO_LONG: usize = 600;
/// Where people's directories are: a path below one of them is of one machine. Spelt so that this file has none.
const HOMES: [&str; 4] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Use", "rs/"), concat!("/wo", "rk/")];

/// Every file of the repository, and those that would be added to it, below the workspace's directory.
pub(super) fn tracked() -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output =
        Command::new("git").args(arguments).current_dir(workspace::root()).output().context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let there = |path: &PathBuf| workspace::root().join(path).is_file();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).filter(there).collect())
}

/// A source file that is longer than it should be.
pub(super) struct Length {
    path: PathBuf,
    lines: usize,
}

impl Length {
    pub(super) fn is_violation(&self) -> bool {
        self.lines > TOO_LONG
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.is_violation() { TOO_LONG } else { LONG };
        write!(f, "{} has {} lines without its tests, more than {most}; split it", self.path.display(), self.lines)
    }
}

/// The Rust files that are longer than they should be, tests not counted.
pub(super) fn lengths(files: &[PathBuf]) -> Result<Vec<Length>> {
    let mut long = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs") && !is_test(path)) {
        let lines = code_lines(&read(path)?);
        if lines > LONG {
            long.push(Length { path: path.clone(), lines });
        }
    }
    Ok(long)
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// Lines before the tests, which stand last.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// The crates that do not take the workspace's lints.
pub(super) fn lints(metadata: &Metadata) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("cannot read {}", package.manifest_path))?;
        if !takes_lints(&manifest) {
            violations
                .push(format!("crate {} lacks the workspace's lints; add [lints] workspace = true", package.name));
        }
    }
    Ok(violations)
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]") && lines.take_while(|l| !l.starts_with('[')).any(|l| l == "workspace = true")
}

/// The places where a path of one machine is written. Files that are not text have none.
pub(super) fn machine_paths(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for path in files {
        let bytes =
            fs::read(workspace::root().join(path)).with_context(|| format!("cannot read {}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        violations.extend(
            lines_with_homes(&text)
                .map(|line| format!("{}:{line} holds a path of one machine; make it relative", path.display())),
        );
    }
    Ok(violations)
}

/// The numbers of the lines that hold an absolute path below somebody's home, from 1.
fn lines_with_homes(text: &str) -> impl Iterator<Item = usize> {
    let starts_a_path =
        |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '}' | '_' | '-'));
    let has =
        move |line: &str| HOMES.iter().any(|home| line.match_indices(home).any(|(at, _)| starts_a_path(&line[..at])));
    text.lines().enumerate().filter(move |(_, line)| has(line)).map(|(i, _)| i + 1)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(workspace::root().join(path)).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert!(is_test(Path::new("crates/x/tests/a.rs")) && is_test(Path::new("x/src/a/tests.rs")));
        assert!(!is_test(Path::new("x/src/tested.rs")));
    }

    #[test]
    fn lengths_say_which_limit_they_exceed() {
        let length = |lines| Length { path: "a.rs".into(), lines };
        assert!(!length(LONG + 1).is_violation() && length(TOO_LONG + 1).is_violation());
        assert!(length(TOO_LONG + 1).to_string().contains("600"));
    }

    #[test]
    fn lints_are_taken_from_the_workspace_by_that_table_only() {
        assert!(takes_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_lints("[lints]\n[dependencies]\nworkspace = true\n"));
        assert!(!takes_lints("[package]\nworkspace = true\n"));
    }

    #[test]
    fn paths_of_a_machine_are_found_by_line() {
        let [first, second, ..] = HOMES;
        let text = format!("fine\ncd {first}x\n\"{second}me\"\nexample.com{second}page\n$DIR{first}x\n");
        assert_eq!(lines_with_homes(&text).collect::<Vec<_>>(), [2, 3]);
    }
}
