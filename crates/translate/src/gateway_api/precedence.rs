//! Which of several matching rules wins: a total order over all rules of all routes of one name.
//!
//! Gateway API, `HTTPRouteRule.matches`: exact path, longest prefix, method, most headers, most query parameters, then the
//! oldest route, the first by namespace and name, the first rule. It leaves regular expressions to the implementation:
//! here they come after exact paths and before prefixes, so that a catch-all prefix beside one does not hide it.

use std::cmp::Reverse;
use tombolo_api::{
    ObjectKey, Timestamp,
    gateway::{HttpMatch, PathMatch},
};

/// Sorts the strongest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence<'a> {
    path: Reverse<(u8, usize)>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    params: Reverse<usize>,
    age: Option<Timestamp>,
    route: &'a ObjectKey,
    rule: usize,
    entry: usize,
}

impl<'a> Precedence<'a> {
    pub(super) fn of(m: &HttpMatch, age: Option<Timestamp>, route: &'a ObjectKey, rule: usize, entry: usize) -> Self {
        let path = match &m.path {
            PathMatch::Exact(path) => (2, path.chars().count()),
            PathMatch::Regex(path) => (1, path.chars().count()),
            PathMatch::Prefix(path) => (0, path.trim_end_matches('/').chars().count()),
        };
        Self {
            path: Reverse(path),
            method: Reverse(m.method.is_some()),
            headers: Reverse(m.headers.len()),
            params: Reverse(m.query_params.len()),
            age,
            route,
            rule,
            entry,
        }
    }
}
