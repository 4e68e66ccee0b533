//! Errors as one line.

use std::{error::Error, fmt::Write as _};

/// An error and its causes, from the outermost in. One that is part of what was said already, as libraries have it both ways, is not
/// said again.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            _ = write!(said, ": {text}"); // a text takes all that is written to it
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot write a: {source}")]
        Both { source: io::Error },
        #[error("cannot read b")]
        One { source: io::Error },
        #[error("not ready")]
        Outer { source: Box<Failed> },
    }

    #[test]
    fn each_cause_is_said_once() {
        let full = || io::Error::other("no space left");
        let told = |error: Failed| with_causes(&Failed::Outer { source: Box::new(error) });
        assert_eq!(told(Failed::Both { source: full() }), "not ready: cannot write a: no space left");
        assert_eq!(told(Failed::One { source: full() }), "not ready: cannot read b: no space left");
    }
}
