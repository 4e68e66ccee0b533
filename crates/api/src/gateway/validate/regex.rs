//! Regular expressions, which Envoy reads with RE2.

use crate::syntax::Broken;

/// Compiled programs above this size are refused. Bytes.
const MOST: usize = 1 << 20;
/// The most that RE2 lets `{n}` repeat.
const MOST_REPEATS: u32 = 1000;

/// Why RE2 would not take an expression.
///
/// The `regex` crate follows RE2's syntax (no look-around, no back references) with additions of its own, which are looked for
/// by hand.
pub(super) fn broken(text: &str) -> Option<Broken> {
    if let Err(error) = ::regex::RegexBuilder::new(text).size_limit(MOST).build() {
        return Some(match error {
            ::regex::Error::CompiledTooBig(_) => "it is too large: repeat less".into(),
            // The last line of several says what is wrong; those before it draw where.
            other => {
                other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned().into()
            }
        });
    }
    not_re2(text.as_bytes())
}

/// What the `regex` crate knows and RE2 does not.
fn not_re2(mut rest: &[u8]) -> Option<Broken> {
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'\\' => {
                if matches!(tail.first(), Some(b'<' | b'>')) || tail.starts_with(b"b{") {
                    return Some("word boundaries are written \\b".into());
                }
                rest = tail.get(1..).unwrap_or_default();
            }
            b'[' => rest = after_class(tail),
            b'(' if has_foreign_flag(tail) => return Some("only the flags i, m, s and U are known".into()),
            b'{' if repeats(tail).is_some_and(|n| n > MOST_REPEATS) => {
                return Some(format!("repeat at most {MOST_REPEATS} times").into());
            }
            _ => {}
        }
    }
    None
}

/// What follows a character class, given what follows its bracket.
fn after_class(class: &[u8]) -> &[u8] {
    let mut i = usize::from(class.first() == Some(&b'^'));
    i += usize::from(class.get(i) == Some(&b']')); // first, it stands for itself
    while let Some(byte) = class.get(i) {
        match byte {
            b']' => return &class[i + 1..],
            b'\\' => i += 2,
            b'[' if class.get(i + 1) == Some(&b':') => {
                i += 2 + class[i + 2..].iter().take_while(|b| **b != b']').count() + 1;
            }
            _ => i += 1,
        }
    }
    &[]
}

fn has_foreign_flag(group: &[u8]) -> bool {
    let Some(flags) = group.strip_prefix(b"?") else { return false };
    let end = flags.iter().position(|b| b":)<P".contains(b)).unwrap_or(flags.len());
    flags[..end].iter().any(|b| !b"imsU-".contains(b))
}

/// The larger number of `{n}`, `{n,}` or `{n,m}`.
fn repeats(braces: &[u8]) -> Option<u32> {
    let inside = braces.split(|b| *b == b'}').next()?;
    let numbers = std::str::from_utf8(inside).ok()?.split(',');
    numbers.filter_map(|n| n.trim().parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "[\\[\\]\\\\^:(){}?*+|a1,<P-]{0,24}") {
            // What RE2 has no word for is at least refused by the crate, or found by hand; neither may panic.
            prop_assert!(broken(&text).is_none_or(|why| !why.is_empty()));
        }
    }

    #[test]
    fn re2_syntax_is_accepted() {
        for good in [
            "",
            "/v[0-9]+/.*",
            "(?i)a|b",
            "(?P<n>x)",
            "a{1,1000}",
            "[]a{2000}]",
            "\\{2000\\}",
            "[[:alpha:]]",
            "\\pL\\z",
        ] {
            assert_eq!(broken(good), None, "{good}");
        }
    }

    #[test]
    fn what_re2_does_not_know_is_refused() {
        for bad in [
            "(",
            "a**b(",
            "[a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(a)\\1",
            "a{1001}",
            "a{2,1001}",
            "(?x)a",
            "(?u)a",
            "\\<a",
            "\\b{start}a",
            "((a{1000}){1000}){10}",
        ] {
            assert!(broken(bad).is_some_and(|why| !why.is_empty() && !why.contains('\n')), "{bad}");
        }
    }
}
