//! Host names and port numbers, valid once they exist.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, num::NonZeroU16, str::FromStr, sync::Arc};

/// A DNS host name in lower case, or a wildcard of one or more leading labels: `*.example.com`. `*` alone is every host.
///
/// Syntax: RFC 1123 labels (Gateway API `Hostname`); Istio's `*` is accepted too. Underscores are accepted, as DNS allows them in practice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Why a text is not a [`Host`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("a host name must not be empty")]
    Empty,
    /// Longer than DNS allows.
    #[error("host name is {0} characters long; DNS allows at most 253")]
    TooLong(usize),
    /// One label breaks the rules.
    #[error("label {0:?} is not valid in a host name: use letters, digits and inner hyphens, at most 63 characters")]
    Label(String),
    /// A `*` anywhere but as the whole first label.
    #[error("'*' may stand only as the whole first label, as in *.example.com")]
    Wildcard,
}

impl Host {
    /// The most characters of a label (RFC 1035).
    pub const MOST_OF_LABEL: usize = 63;

    /// Parses and lower-cases.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let host = Self::parse_long(text)?;
        match host.long_label() {
            Some(label) => Err(HostError::Label(label.to_owned())),
            None => Ok(host),
        }
    }

    /// The same, with labels of any length: no DNS has such a name, and the Gateway API's schema takes it.
    pub fn parse_long(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > 253 {
            return Err(HostError::TooLong(text.len()));
        }
        let rest = match text.strip_prefix('*') {
            Some("") => return Ok(Self("*".into())),
            Some(rest) => rest.strip_prefix('.').ok_or(HostError::Wildcard)?,
            None => text,
        };
        for label in rest.split('.') {
            if label.contains('*') {
                return Err(HostError::Wildcard);
            }
            let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !inner || label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(HostError::Label(label.to_owned()));
            }
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// A label that is longer than DNS allows.
    pub fn long_label(&self) -> Option<&str> {
        self.0.split('.').find(|label| label.len() > Self::MOST_OF_LABEL)
    }

    /// The host that matches every host: `*`.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// The text, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn as_arc(&self) -> Arc<str> {
        self.0.clone()
    }

    /// True for `*`.
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// True for `*` and `*.something`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// True where every name that `other` stands for is one that `self` stands for. A wildcard stands for one or more labels, so
    /// `*.example.com` covers `a.b.example.com` and `*.b.example.com`, not `example.com` (Gateway API, `Hostname`).
    pub fn covers(&self, other: &Host) -> bool {
        if self.is_any() || self == other {
            return true;
        }
        match self.0.strip_prefix('*') {
            Some(suffix) => {
                let name = other.0.strip_prefix('*').unwrap_or(&other.0);
                // `.b.example.com` under `.example.com`; both keep their leading dot when both are wildcards.
                name.len() > suffix.len() && name.ends_with(suffix)
            }
            None => false,
        }
    }

    /// The names that both stand for: the narrower of the two, if one covers the other.
    pub fn intersect(&self, other: &Host) -> Option<Host> {
        if self.covers(other) {
            Some(other.clone())
        } else if other.covers(self) {
            Some(self.clone())
        } else {
            None
        }
    }

    /// Orders hosts from the most to the least specific: exact before wildcard, longer before shorter.
    pub fn specificity(&self) -> (bool, usize) {
        (!self.is_wildcard(), self.0.len())
    }
}

impl FromStr for Host {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::parse(text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(|e| D::Error::custom(format!("{text:?}: {e}")))
    }
}

/// A TCP or UDP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(NonZeroU16);

/// The number is no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a port: use a number from 1 to 65535")]
pub struct PortError(pub i64);

impl Port {
    /// Checks the range.
    pub fn new(number: i64) -> Result<Self, PortError> {
        u16::try_from(number).ok().and_then(NonZeroU16::new).map(Self).ok_or(PortError(number))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u16(self.get())
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(d)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn hosts_are_checked_and_lower_cased() {
        assert_eq!(host("Reviews.Default").as_str(), "reviews.default");
        for bad in ["", "a..b", "-a", "a-", "a*b", "*a", "a.*.b", "a b", &"x".repeat(254), &"x".repeat(64)] {
            assert!(Host::parse(bad).is_err(), "{bad:?}");
        }
        let long = Host::parse_long(&format!("{}.example.com", "x".repeat(64))).unwrap();
        assert_eq!(long.long_label(), Some("x".repeat(64).as_str()));
    }

    #[test]
    fn a_wildcard_covers_one_or_more_labels() {
        assert!(host("*.example.com").covers(&host("a.b.example.com")));
        assert!(host("*.example.com").covers(&host("*.b.example.com")));
        assert!(!host("*.example.com").covers(&host("example.com")));
        assert!(!host("*.b.example.com").covers(&host("*.example.com")));
        assert!(!host("*.example.com").covers(&host("aexample.com")));
        assert!(host("*").covers(&host("*.com")));
        assert_eq!(host("*.a.com").intersect(&host("b.a.com")), Some(host("b.a.com")));
        assert_eq!(host("c.com").intersect(&host("*.a.com")), None);
    }

    #[test]
    fn ports_have_a_range() {
        assert_eq!(Port::new(65_535).unwrap().get(), 65_535);
        assert!(Port::new(0).is_err() && Port::new(65_536).is_err() && Port::new(-1).is_err());
    }
}
