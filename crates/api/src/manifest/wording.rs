//! What is wrong with a value's type, in its writer's words instead of the parser's.
//!
//! Values are not shown where a type is wrong: they may be secret, and file, line and field name the place.

use super::nearest::nearest;
use serde::de::Unexpected;

/// The longest part of a text that a message shows.
const SHOWN: usize = 64;

/// A value of the wrong type: what is wrong, and what to do.
pub(super) fn wrong_type(found: &Unexpected<'_>, expected: &str) -> (String, String) {
    let wanted = noun(expected);
    let fix = match (wanted, found) {
        ("text", Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)) => {
            "put it in quotes"
        }
        ("a whole number" | "a number" | "true or false", Unexpected::Str(_)) => "write it without quotes",
        ("a list", _) => "begin each element with '- '",
        ("a mapping", Unexpected::Seq) => "write fields as 'name: value', without '- '",
        ("a mapping", _) => "write fields as 'name: value', indented below it",
        _ => "",
    };
    let fix = if fix.is_empty() { format!("write {wanted}") } else { fix.to_owned() };
    (format!("expected {wanted}, found {}", thing(found)), fix)
}

/// A value of the right type that cannot be: what is wrong, and what to do.
pub(super) fn wrong_value(found: &Unexpected<'_>, expected: &str) -> (String, String) {
    let shown = match found {
        Unexpected::Signed(n) => n.to_string(),
        Unexpected::Unsigned(n) => n.to_string(),
        Unexpected::Float(n) => n.to_string(),
        other => thing(other).to_owned(),
    };
    match range(expected) {
        Some((least, most)) => {
            (format!("{shown} is out of range"), format!("use a whole number from {least} to {most}"))
        }
        None => (format!("{shown} is not {expected}"), format!("write {}", noun(expected))),
    }
}

/// A word that is not one of a list: what is wrong, and what to do.
pub(super) fn unknown_word(word: &str, known: &[&'static str]) -> (String, String) {
    let message = format!("{:?} is not one of {}", shorten(word), known.join(", "));
    let fix = match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "use one of these".to_owned(),
    };
    (message, fix)
}

/// A type's own error, which ends with what to do: what is wrong, and what to do.
pub(super) fn split_fix(text: &str) -> (String, String) {
    let is_fix =
        |tail: &str| ["use ", "write ", "set ", "put ", "remove ", "add "].iter().any(|verb| tail.starts_with(verb));
    let ends = text.match_indices(": ").chain(text.match_indices("; "));
    match ends.map(|(at, sep)| (&text[..at], &text[at + sep.len()..])).find(|(_, tail)| is_fix(tail)) {
        Some((wrong, fix)) => (wrong.to_owned(), fix.to_owned()),
        None => (text.to_owned(), "correct the value".to_owned()),
    }
}

/// The beginning of a text, short enough for a message.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn noun(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "string" | "str" | "variant identifier" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "f32" | "f64" => "a number",
        "unit" => "nothing",
        _ if range(expected).is_some() => "a whole number",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") => "text",
        _ => expected,
    }
}

fn thing(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a fractional number",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "something else",
    }
}

fn range(expected: &str) -> Option<(i64, u64)> {
    Some(match expected {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX),
        "i8" => (i8::MIN.into(), 127),
        "i16" => (i16::MIN.into(), 32_767),
        "i32" => (i32::MIN.into(), 2_147_483_647),
        "i64" | "isize" => (i64::MIN, i64::MAX.unsigned_abs()),
        _ => return None,
    })
}
