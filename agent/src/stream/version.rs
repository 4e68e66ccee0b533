//! Versions as they are kept: one per name, of tens of thousands of names.

use std::fmt;

/// A resource's version. The control plane's own are hashes, which are kept as numbers; others as their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 32 lower-case hexadecimal digits.
    Hash(u128),
    /// Anything else.
    Text(Box<str>),
}

impl Version {
    pub(crate) fn new(text: &str) -> Self {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(hash) if digits => Self::Hash(hash),
            _ => Self::Text(text.into()),
        }
    }

    /// Whether this is the version's text.
    pub(crate) fn is(&self, text: &str) -> bool {
        *self == Self::new(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "{hash:032x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn every_version_keeps_its_text() {
        let hash = "00f0000000000000000000000000000a";
        for text in [hash, "", "1", "+0f0000000000000000000000000000a", "00F0000000000000000000000000000A"] {
            assert_eq!(Version::new(text).to_string(), text);
            assert!(Version::new(text).is(text));
        }
        assert!(matches!(Version::new(hash), Version::Hash(_)));
    }
}
