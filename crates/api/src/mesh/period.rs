//! Spans of time, up to months.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// A span of time as people write it: `90d`, `1h30m`, `500ms`. Units d, h, m, s and ms; a day is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(Duration);

/// The text is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a span of time: write numbers of at most five digits with units d, h, m, s or ms, as in 90d or 1h30m"
)]
pub struct PeriodError(String);

/// What [`Period`]s look like, for schemas.
const PATTERN: &str = "^([0-9]{1,5}(d|h|m|s|ms)){1,5}$";

impl Period {
    /// Of so many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let error = || PeriodError(text.to_owned());
        let (mut rest, mut parts, mut millis) = (text, 0, 0);
        while !rest.is_empty() {
            let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?);
            let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
            if number.is_empty() || number.len() > 5 || parts == 5 {
                return Err(error());
            }
            millis += number.parse::<u64>().map_err(|_| error())? * unit_millis(unit).ok_or_else(error)?;
            parts += 1;
            rest = tail;
        }
        if parts == 0 { Err(error()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

fn unit_millis(unit: &str) -> Option<u64> {
    Some(match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        "ms" => 1,
        _ => return None,
    })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, size) =
            units.into_iter().find(|(_, size)| millis != 0 && millis.is_multiple_of(*size)).unwrap_or(("ms", 1));
        write!(f, "{}{unit}", millis / size)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_units_up_to_days_and_round_trip() {
        for (text, millis) in
            [("90d", 7_776_000_000), ("1h30m", 5_400_000), ("500ms", 500), ("0s", 0), ("1m5ms", 60_005)]
        {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.get().as_millis(), millis, "{text}");
            assert_eq!(period.to_string().parse(), Ok(period), "{text}");
        }
        for bad in ["", "1", "1.5s", "-1s", "100000s", "1w", "s", "1s ", "1h1h1h1h1h1h", "1 s"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
        assert_eq!(Period::from_secs(86_400).to_string(), "1d");
    }
}
