//! Syntax and limits that several kinds share: Kubernetes' names, labels, addresses, and how many of each.

use crate::Report;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tombolo_core::FieldPath;

/// RFC 1123 label in lower case: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63 characters.
pub(crate) fn is_dns_label(text: &str) -> bool {
    is_any_case_label(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// RFC 1123 label in either case, as Istio accepts names of ports and parts of domains.
pub(crate) fn is_any_case_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// RFC 1123 subdomain in lower case, at most 253 characters.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// A port's name as IANA has services': lower case letters, digits, inner hyphens, at least one letter, at most 15.
pub(crate) fn is_service_port_name(text: &str) -> bool {
    text.len() <= 15 && is_dns_label(text) && text.bytes().any(|b| b.is_ascii_lowercase()) && !text.contains("--")
}

/// A label's key without its prefix, or a label's value: letters, digits and inner `-`, `_`, `.`.
fn is_qualified_part(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

/// A label's key: a name of at most 63 characters, after a domain and a slash if it has one.
pub(crate) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(p, n)| (Some(p), n));
    name.len() <= 63 && is_qualified_part(name) && prefix.is_none_or(|p| p.split('.').all(is_any_case_label))
}

/// A label's value: empty, or at most 63 characters.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && is_qualified_part(text))
}

/// A field's value as an IP address; `None` where it is none.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Refuses more elements than the schema allows.
pub(crate) fn at_most(report: &mut Report, field: &FieldPath, count: usize, limit: usize) {
    if count > limit {
        let message = format!("has {count} elements, at most {limit} are allowed");
        report.error(field.clone(), "TooMany", message, "split the object, or remove some");
    }
}

/// Refuses texts longer than the schema allows, counted in characters as the schema counts.
pub(crate) fn no_longer(report: &mut Report, field: &FieldPath, text: &str, limit: usize) {
    let length = text.chars().count();
    if length > limit {
        let message = format!("is {length} characters long, at most {limit} are allowed");
        report.error(field.clone(), "TooLong", message, "shorten it");
    }
}

/// Refuses what is there a second time: reports each repetition at its own place.
pub(crate) fn distinct<T: Ord + std::fmt::Display>(
    report: &mut Report,
    what: &str,
    values: impl IntoIterator<Item = (FieldPath, T)>,
) {
    let mut seen = BTreeSet::new();
    for (field, value) in values {
        if seen.contains(&value) {
            let message = format!("{what} {value} is there already");
            report.error(field, "Duplicate", message, format!("give each {what} once"));
        } else {
            seen.insert(value);
        }
    }
}

/// Refuses keys and values that cannot be labels.
pub(crate) fn labels(report: &mut Report, field: &FieldPath, labels: &BTreeMap<Arc<str>, Arc<str>>) {
    for (key, value) in labels {
        if !is_label_key(key) {
            let message = format!("{key:?} cannot be the key of a label");
            let fix = "use letters, digits, '-', '_' and '.', at most 63, after a domain and '/' if need be";
            report.error(field.key(key), "InvalidValue", message, fix);
        }
        if !is_label_value(value) {
            let message = format!("{value:?} cannot be the value of a label");
            report.error(field.key(key), "InvalidValue", message, "use letters, digits, '-', '_' and '.', at most 63");
        }
    }
}

/// Refuses what cannot be an application protocol: a plain word, or one after a domain and a slash.
pub(crate) fn app_protocol(report: &mut Report, field: &FieldPath, protocol: Option<&str>) {
    if let Some(protocol) = protocol.filter(|protocol| !is_label_key(protocol)) {
        let message = format!("{protocol:?} is not the name of a protocol");
        report.error(field.clone(), "InvalidValue", message, "write it as http, or kubernetes.io/h2c");
    }
}

/// Refuses keys that no Secret or ConfigMap can have, and more data than one can hold.
pub(crate) fn data<'a>(report: &mut Report, field: &FieldPath, sizes: impl Iterator<Item = (&'a str, usize)>) {
    const MOST: usize = 1024 * 1024;
    let mut total = 0;
    for (key, size) in sizes {
        total += size;
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let name = !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..");
        if !name || !key.bytes().all(valid) {
            let message = format!("{key:?} cannot be a key of data");
            report.error(field.key(key), "InvalidValue", message, "use letters, digits, '-', '_' and '.', at most 253");
        }
    }
    if total > MOST {
        let message = format!("holds {total} bytes, at most {MOST} are allowed");
        report.error(field.clone(), "TooLong", message, "split the object");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_have_kubernetes_syntax() {
        let good = ["a", "a-1", "0a"];
        let bad = ["", "-a", "a-", "a.b", "A", "ä", &"x".repeat(64)];
        assert!(good.into_iter().all(is_dns_label) && !bad.into_iter().any(is_dns_label));
        assert!(is_dns_subdomain("a.b-c.d") && !is_dns_subdomain("a..b"));
        assert!(is_service_port_name("http-2") && !is_service_port_name("80") && !is_service_port_name("a--b"));
        assert!(!is_service_port_name("sixteen-letters-"));
        for key in ["app", "app.kubernetes.io/name", "a_b.c", "Example.com/x"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "/a", "a/", "a/b/c", "-a", "a b"] {
            assert!(!is_label_key(key), "{key}");
        }
        assert!(is_label_value("") && is_label_value("v1.2_x") && !is_label_value("*"));
    }
}
