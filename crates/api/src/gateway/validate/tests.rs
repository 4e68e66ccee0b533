//! Each rule, broken once: a good object, one edit, and the one problem that must be told.

mod frontend;
mod gateway;
mod http_route;

use crate::manifest::{Decoded, read};
use tombolo_core::Severity;

/// An edit of a good text, and the severity, field and reason of the one problem that it makes.
type Case<'a> = (&'a str, &'a str, &'a str);

fn decode(text: &str) -> Decoded {
    let mut content = read(text.as_bytes(), "f.yaml");
    assert_eq!((content.problems.as_slice(), content.decoded.len()), (&[][..], 1), "{text}");
    content.decoded.remove(0)
}

/// `field reason` of each problem, `?` before a warning.
fn told(text: &str) -> Vec<String> {
    let tell = |p: &tombolo_core::Problem| {
        let mark = if p.severity == Severity::Warning { "?" } else { "" };
        assert!(!p.message.is_empty() && !p.message.ends_with('.'), "{p}");
        format!("{mark}{} {}", p.field.as_str().trim_start_matches("spec."), p.reason)
    };
    let decoded = decode(text);
    assert_eq!(decoded.object.is_none(), decoded.problems.iter().any(tombolo_core::Problem::is_error));
    decoded.problems.iter().map(tell).collect()
}

/// Each edit of the good text makes exactly its problem; an empty one, none.
fn check(good: &str, cases: &[Case<'_>]) {
    assert_eq!(told(good), [""; 0], "the good text");
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from} is not in the good text");
        let expected: Vec<&str> = expected.split_terminator('|').collect();
        assert_eq!(told(&good.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
}

/// As [`check`], where every expected field is below `at`.
fn check_below(good: &str, at: &str, cases: &[Case<'_>]) {
    for (from, to, expected) in cases {
        check(good, &[(from, to, &format!("{at}.{expected}"))]);
    }
}

/// `item` this many times, each with its number for `N`, joined by commas.
fn times(count: usize, item: &str) -> String {
    (0..count).map(|i| item.replace('N', &i.to_string())).collect::<Vec<_>>().join(", ")
}
