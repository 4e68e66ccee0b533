//! What a request must be like: paths, headers, query parameters.

use super::{capped, keeps, regex, unique, warn_of_same_header};
use crate::{
    Report,
    gateway::{HttpMatch, PathMatch, ValueMatch},
    syntax::{Broken, too_long},
};
use tombolo_core::FieldPath;

/// The most headers, and the most query parameters, of one match.
const MOST: usize = 16;
const MOST_PATH: usize = 1024;
const MOST_HEADER_NAME: usize = 256;
const MOST_HEADER_VALUE: usize = 4096;
const MOST_QUERY_VALUE: usize = 1024;

pub(super) fn http_match(m: &HttpMatch, at: &FieldPath, report: &mut Report) {
    path(&m.path, &at.key("path").key("value"), report);
    let headers = at.key("headers");
    for (i, header) in capped(&m.headers, MOST, &headers, report).iter().enumerate() {
        let at = headers.index(i);
        keeps(header_name(&header.name), "header's name", || at.key("name"), report);
        value(&header.value, header_value, &at.key("value"), report);
    }
    warn_of_same_header(m.headers.iter().map(|h| &h.name), |i| headers.index(i).key("name"), report);
    let params = at.key("queryParams");
    for (i, param) in capped(&m.query_params, MOST, &params, report).iter().enumerate() {
        let at = params.index(i);
        keeps(header_name(&param.name), "query parameter's name", || at.key("name"), report);
        value(&param.value, query_value, &at.key("value"), report);
    }
    let names = m.query_params.iter().map(|p| &p.name);
    unique(names, |name| format!("query parameter {name}"), |i| params.index(i).key("name"), report);
}

fn path(path: &PathMatch, at: &FieldPath, report: &mut Report) {
    let (text, broken) = match path {
        PathMatch::Exact(text) | PathMatch::Prefix(text) => (text, plain_path(text)),
        PathMatch::Regex(text) => (text, regex::broken(text)),
    };
    keeps(too_long(text, MOST_PATH).or(broken), "path", || at.clone(), report);
}

/// The rules of paths that are compared as they stand: absolute, and as normalisation leaves them.
fn plain_path(path: &str) -> Option<Broken> {
    if !path.starts_with('/') {
        return Some("begin it with '/'".into());
    }
    // What URLs hold in several spellings, normalisation would change, so that it could never match.
    let never = ["//", "/./", "/../", "%2f", "%2F", "#"].into_iter().find(|part| path.contains(part));
    if let Some(part) = never.or_else(|| ["/..", "/."].into_iter().find(|end| path.ends_with(end))) {
        return Some(format!("remove {part:?}").into());
    }
    (!is_url_path(path.as_bytes()))
        .then_some("write other characters than A-Z a-z 0-9 / . _ ~ ! $ & ' ( ) * + , ; = : @ - as %XX".into())
}

/// True where every character may stand in a URL's path, or is one written as `%XX`.
fn is_url_path(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = match first {
            b'%' => match tail {
                [a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
                _ => return false,
            },
            b if b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(b) => tail,
            _ => return false,
        };
    }
    true
}

fn value(value: &ValueMatch, syntax: fn(&str) -> Option<Broken>, at: &FieldPath, report: &mut Report) {
    let (text, regex) = match value {
        ValueMatch::Exact(text) => (text, None),
        ValueMatch::Regex(text) => (text, regex::broken(text)),
    };
    keeps(syntax(text).or(regex), "value", || at.clone(), report);
}

/// `HTTPHeaderName`: a token of RFC 9110, 1 to 256 characters.
pub(super) fn header_name(name: &str) -> Option<Broken> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    too_long(name, MOST_HEADER_NAME).or_else(|| {
        let valid = !name.is_empty() && name.bytes().all(token);
        (!valid).then_some("use letters, digits and !#$%&'*+-.^_`|~".into())
    })
}

/// A header's value: visible ASCII, and single blanks inside; 1 to 4096 characters.
pub(super) fn header_value(value: &str) -> Option<Broken> {
    let blank = |b: u8| b == b' ' || b == b'\t';
    too_long(value, MOST_HEADER_VALUE).or_else(|| {
        let bytes = value.as_bytes();
        let visible = bytes.iter().all(|b| b.is_ascii_graphic() || blank(*b));
        let ends = bytes.first().is_none_or(|b| blank(*b)) || bytes.last().is_none_or(|b| blank(*b));
        let double = bytes.windows(2).any(|pair| blank(pair[0]) && blank(pair[1]));
        (!visible || ends || double).then_some("use visible ASCII characters, with single blanks between them".into())
    })
}

fn query_value(value: &str) -> Option<Broken> {
    if value.is_empty() { Some("it must not be empty".into()) } else { too_long(value, MOST_QUERY_VALUE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_normal() {
        for good in ["/", "/a/b", "/a.b/..c/.d", "/%20", "/a:b@c;d=e,f"] {
            assert_eq!(plain_path(good), None, "{good}");
        }
        for bad in [
            "", "a", "//", "/a//b", "/a/./b", "/a/../b", "/a%2fb", "/a%2Fb", "/a#b", "/a/..", "/a/.", "/a b", "/ä",
            "/%", "/%2", "/%zz", "/a?b",
        ] {
            assert!(plain_path(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn header_values_are_visible_with_single_blanks() {
        assert!(["a", "a b", "a\tb", "a b c", "~!"].iter().all(|v| header_value(v).is_none()));
        assert!(
            ["", " ", " a", "a ", "a  b", "a \tb", "ä", "a\nb", &"x".repeat(4097)]
                .iter()
                .all(|v| header_value(v).is_some())
        );
    }
}
