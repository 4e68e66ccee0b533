//! Talking to people: the only place that writes to the terminal. Colour only where somebody sees it.
#![allow(clippy::print_stdout, clippy::print_stderr)] // this is what the module is for

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};
use tombolo_core::Problem;

static COLOUR: LazyLock<bool> = LazyLock::new(|| {
    let unwanted =
        env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || env::var_os("TERM").is_some_and(|t| t == "dumb");
    !unwanted && io::stdout().is_terminal() && io::stderr().is_terminal()
});

/// How a piece of text stands out.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// The text in a style, where there is colour.
pub(crate) fn paint(style: Style, text: &str) -> String {
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Red => "31",
        Style::Green => "32",
        Style::Yellow => "33",
    };
    if *COLOUR { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Prints a line. A reader that has gone away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    _ = writeln!(io::stdout(), "{text}");
}

/// Prints a line about what goes wrong.
pub(crate) fn error(text: &str) {
    _ = writeln!(io::stderr(), "{} {text}", paint(Style::Red, "error:"));
}

/// Prints a line beside what was asked for, which may be for programs.
pub(crate) fn note(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}

/// A problem as one line.
pub(crate) fn problem(problem: &Problem) -> String {
    let word = if problem.is_error() { paint(Style::Red, "error:") } else { paint(Style::Yellow, "warning:") };
    format!("{word} {problem}")
}

/// `1 object`, `2 objects`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    let plural = match noun {
        _ if n == 1 => "",
        _ if noun.ends_with('y') => return format!("{n} {}ies", &noun[..noun.len() - 1]),
        _ => "s",
    };
    format!("{n} {noun}{plural}")
}
