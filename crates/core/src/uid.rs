//! UIDs of objects.

/// The UID of an object of Kubernetes, which is a UUID there (RFC 9562). Small: there is one for each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid([u8; 16]);

impl Uid {
    /// The UID of a text such as `6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b`; `None` where that is no UUID, and so nobody's in Kubernetes.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let is_uuid = text.len() == 36 && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_uuid.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(|number| Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_one() {
        let uid = Uid::parse("6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b").unwrap();
        assert_eq!(Some(uid), Uid::parse("6F0C9B1E-3F0A-4C1B-9D53-0D8F5F1F2A3B"));
        assert_ne!(Some(uid), Uid::parse("6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3c"));
        for text in ["", "6f0c9b1e", "+f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b", "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3bb"] {
            assert_eq!(Uid::parse(text), None, "{text}");
        }
    }
}
