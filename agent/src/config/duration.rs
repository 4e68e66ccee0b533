//! Durations as people write them: `5s`, `1m30s`, `500ms`, `0.5h`; what Go and protobuf's JSON write is among them.

use std::time::Duration;

/// The longest duration that makes sense anywhere here.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The duration of this text.
///
/// # Errors
/// What is wrong with it, and how to write one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write it as in 5s, 500ms or 1h30m");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let (unit, after) = unit(&rest[digits..]).ok_or_else(wrong)?;
        seconds += number * unit;
        rest = after;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration > LONGEST { Err(format!("{text:?} is longer than ten years")) } else { Ok(duration) }
}

/// The unit that a text begins with, in seconds, and what comes after it.
fn unit(text: &str) -> Option<(f64, &str)> {
    // Longer names first: `ms` begins with `m`.
    let units = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    units.iter().find_map(|(name, seconds)| Some((*seconds, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_and_protobuf_write_them() {
        let cases = [
            ("5s", 5_000),
            ("0s", 0),
            ("1.500s", 1_500),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("24h0m0s", 86_400_000),
            ("90d", 7_776_000_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "5x", "1..5s", "1e9h", "99999999999h", "∞s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(crate::testing::many())]

        #[test]
        fn any_text_is_a_duration_or_an_error(bytes in any::<[u8; 6]>()) {
            _ = parse_duration(&String::from_utf8_lossy(&bytes));
            let digits: String = bytes.iter().map(|b| char::from(b"0123456789.smhdnu"[usize::from(*b) % 17])).collect();
            _ = parse_duration(&digits);
        }
    }
}
