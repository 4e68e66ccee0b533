//! How many, or what share.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use std::{borrow::Cow, fmt, str::FromStr};

/// A share from `0%` to `100%`, with at most two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Percent {
    hundredths: u16,
}

impl Percent {
    /// Of so many whole percent; at most 100.
    pub fn new(percent: u16) -> Option<Self> {
        (percent <= 100).then_some(Self { hundredths: percent * 100 })
    }

    /// From 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.hundredths) / 10_000.0
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (whole, part) = text.strip_suffix('%')?.split_once('.').unwrap_or((text.strip_suffix('%')?, "0"));
            let digits = |t: &str, most: usize| (1..=most).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
            if !(whole == "100" || digits(whole, 2)) || !digits(part, 2) {
                return None;
            }
            let hundredths = whole.parse::<u16>().ok()? * 100 + format!("{part:0<2}").parse::<u16>().ok()?;
            (hundredths <= 10_000).then_some(Self { hundredths })
        };
        parse().ok_or_else(|| format!("{text:?} is not a share: write 0% to 100%, as in 0.5%"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.hundredths) / 100.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"})
    }
}

/// A number, or a share of all: `3`, `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Amount {
    Count(u32),
    Share(Percent),
}

impl Amount {
    /// How many of so many that is; a share is rounded down.
    pub fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => {
                let product = u64::from(all) * u64::from(share.hundredths) / 10_000;
                u32::try_from(product).unwrap_or(all)
            }
        }
    }
}

impl Default for Amount {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(d)?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        match (count, value.as_str()) {
            (Some(count), _) => Ok(Self::Count(count)),
            (_, Some(text)) => text.parse().map(Self::Share).map_err(D::Error::custom),
            _ => Err(D::Error::custom(format!("{value} is neither a number nor a share as in 10%"))),
        }
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self >= 0 && self <= 4294967295 : self.matches('^(100(\\\\.0{1,2})?|[0-9]{1,2}(\\\\.[0-9]{1,2})?)%$')",
                "message": "is a number or a share, as in 3 or 10%",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_at_most_two_decimals() {
        for (text, ratio) in [("0%", 0.0), ("0.5%", 0.005), ("12.34%", 0.1234), ("100%", 1.0)] {
            let share: Percent = text.parse().unwrap();
            assert!((share.ratio() - ratio).abs() < 1e-9, "{text}");
            assert_eq!(share.to_string().parse(), Ok(share));
        }
        for bad in ["", "%", "1", "-1%", "101%", "100.01%", "010%", "1.234%", ".5%", "1.%", "9999%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_of_all_is_rounded_down() {
        let amount = |json: &str| serde_json::from_str::<Amount>(json);
        assert_eq!(amount("3").unwrap().of(100), 3);
        assert_eq!(amount(r#""10%""#).unwrap().of(19), 1);
        assert_eq!(Amount::Share(Percent::new(100).unwrap()).of(u32::MAX), u32::MAX);
        for bad in ["-1", "1.5", r#""ten""#, "4294967296", "[]"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }
}
