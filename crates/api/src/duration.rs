//! Durations as the Gateway API writes them.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, str::FromStr};

/// A duration of the Gateway API: GEP-2257, a restricted form of Go's. `0s`, `500ms`, `1h30m`; whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: use up to four parts of at most five digits with units h, m, s, ms, as in 1h30m or 500ms"
)]
pub struct DurationError(String);

impl Duration {
    /// From milliseconds.
    pub fn from_millis(ms: u64) -> Self {
        Self(std::time::Duration::from_millis(ms))
    }

    /// As the standard library has it.
    pub fn get(self) -> std::time::Duration {
        self.0
    }

    /// True for `0s`, which in timeouts means none.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let error = || DurationError(text.to_owned());
        let (mut rest, mut parts, mut millis) = (text, 0, 0u64);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
            let (number, tail) = rest.split_at(digits);
            let (unit, tail) = match tail.as_bytes() {
                [b'm', b's', ..] => (1, &tail[2..]),
                [b'h', ..] => (3_600_000, &tail[1..]),
                [b'm', ..] => (60_000, &tail[1..]),
                [b's', ..] => (1_000, &tail[1..]),
                _ => return Err(error()),
            };
            parts += 1;
            if number.is_empty() || number.len() > 5 || parts > 4 {
                return Err(error());
            }
            millis += number.parse::<u64>().map_err(|_| error())? * unit;
            rest = tail;
        }
        if parts == 0 { Err(error()) } else { Ok(Self::from_millis(millis)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_gep_2257() {
        let millis = |text: &str| text.parse::<Duration>().map(|d| d.get().as_millis());
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("1m500ms"), Ok(60_500));
        for bad in ["", "1", "1.5s", "-1s", "100000s", "1h1m1s1ms1s", "1d", "s", "1s "] {
            assert!(millis(bad).is_err(), "{bad}");
        }
    }
}
