//! The syntaxes that Kubernetes asks of names: each check answers with the rule that is broken, ready to follow "…: ".

use std::borrow::Cow;

/// The rule that a text breaks.
pub(crate) type Broken = Cow<'static, str>;

/// A name as most kinds have it (RFC 1123): labels joined by dots, at most 253 characters.
pub(crate) fn dns_subdomain(text: &str) -> Option<Broken> {
    too_long(text, 253).or_else(|| {
        let valid = text.split('.').all(|label| is_label(label.as_bytes()));
        (!valid).then_some(
            "use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit".into(),
        )
    })
}

/// One label of a name (RFC 1123), at most 63 characters: namespaces and the like.
pub(crate) fn dns_label(text: &str) -> Option<Broken> {
    too_long(text, 63).or_else(|| {
        (!is_label(text.as_bytes()))
            .then_some("use lower-case letters, digits and '-', beginning and ending with a letter or digit".into())
    })
}

/// A Service's name (RFC 1035): a label that begins with a letter.
pub(crate) fn service_name(text: &str) -> Option<Broken> {
    dns_label(text)
        .or_else(|| (!text.starts_with(|c: char| c.is_ascii_lowercase())).then_some("begin with a letter".into()))
}

/// A label's or annotation's key: a name of at most 63 characters, after an optional DNS prefix and a slash.
pub(crate) fn qualified_name(text: &str) -> Option<Broken> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(p, n)| (Some(p), n));
    prefix.and_then(dns_subdomain).or_else(|| too_long(name, 63)).or_else(|| {
        let valid = is_tidy(name.as_bytes());
        (!valid).then_some("use letters, digits, '-', '_' and '.', beginning and ending with a letter or digit".into())
    })
}

/// A label's value: like a key's name, or empty.
pub(crate) fn label_value(text: &str) -> Option<Broken> {
    if text.is_empty() {
        None
    } else {
        qualified_name(text).or_else(|| text.contains('/').then_some("use no '/'".into()))
    }
}

/// An API group: a DNS name, or empty for Kubernetes' core group.
pub(crate) fn group(text: &str) -> Option<Broken> {
    if text.is_empty() { None } else { dns_subdomain(text) }
}

/// A kind, at most 63 characters.
pub(crate) fn kind(text: &str) -> Option<Broken> {
    too_long(text, 63).or_else(|| {
        let bytes = text.as_bytes();
        let valid = bytes.first().is_some_and(u8::is_ascii_alphabetic)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        (!valid).then_some("use letters, digits and '-', beginning with a letter".into())
    })
}

/// The name of an object that may be of any kind: 1 to 253 characters.
pub(crate) fn object_name(text: &str) -> Option<Broken> {
    if text.is_empty() { Some("it must not be empty".into()) } else { too_long(text, 253) }
}

/// A name of an implementation's own, as in `example.com/thing`.
pub(crate) fn is_domain_prefixed_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, path)| {
        dns_subdomain(domain).is_none()
            && !path.is_empty()
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b))
    })
}

/// A text of at most this many characters.
pub(crate) fn too_long(text: &str, most: usize) -> Option<Broken> {
    if text.len() <= most {
        return None; // no more bytes, no more characters
    }
    let count = text.chars().count();
    (count > most).then(|| format!("use at most {most} characters, not {count}").into())
}

fn is_label(label: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    label.first().is_some_and(plain) && label.last().is_some_and(plain) && label.iter().all(|b| plain(b) || *b == b'-')
}

fn is_tidy(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.last().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_their_kinds() {
        let long = "a".repeat(64);
        assert!(["a", "a.b-c", "0.x", &long].iter().all(|t| dns_subdomain(t).is_none()));
        assert!(["", "A", "a..b", "-a", "a.", "a_b"].iter().all(|t| dns_subdomain(t).is_some()));
        assert!(["0", "a-b"].iter().all(|t| dns_label(t).is_none()));
        assert!(["", "a.b", &long].iter().all(|t| dns_label(t).is_some()));
        assert!(service_name("a0").is_none() && service_name("0a").is_some());
        assert!(["HTTPRoute", "x"].iter().all(|t| kind(t).is_none()));
        assert!(["", "0x", "x-", "x.y"].iter().all(|t| kind(t).is_some()));
        assert!(object_name("Any thing").is_none() && object_name("").is_some());
        assert!(is_domain_prefixed_path("example.com/a/b") && !is_domain_prefixed_path("example.com/"));
        assert!(!is_domain_prefixed_path("x") && !is_domain_prefixed_path("X.com/a"));
    }

    #[test]
    fn labels_follow_kubernetes() {
        assert!(["a", "app.kubernetes.io/name", "A_b.c"].iter().all(|t| qualified_name(t).is_none()));
        assert!(["", "/a", "a/", "a/b/c", "_a", "A.com/x"].iter().all(|t| qualified_name(t).is_some()));
        assert!(["", "v1.2_x-Y"].iter().all(|t| label_value(t).is_none()));
        assert!(["a/b", "-a", "a b"].iter().all(|t| label_value(t).is_some()));
        assert_eq!(label_value(&"x".repeat(64)).unwrap(), "use at most 63 characters, not 64");
    }
}
