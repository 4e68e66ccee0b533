//! Filters: each by itself, and which go together.

use super::{
    capped, keeps,
    matching::{header_name, header_value},
    reference, unique, warn_of_same_header,
};
use crate::{
    Report,
    gateway::{CorsFilter, HeaderModifier, HttpFilter, HttpHeader, Method, PathModifier, Redirect},
    syntax::{Broken, too_long},
};
use std::sync::Arc;
use tombolo_core::FieldPath;

/// The most filters of a list, and the most headers that one sets, adds or removes.
const MOST: usize = 16;
/// The most origins and headers of a CORS filter, and its most methods.
const MOST_CORS: (usize, usize) = (64, 9);
const MOST_PATH: usize = 1024;
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The filters of a rule or of one backend.
pub(super) fn filters(list: &[HttpFilter], at: &FieldPath, report: &mut Report) {
    for (i, filter) in capped(list, MOST, at, report).iter().enumerate() {
        one(filter, &at.index(i), report);
    }
    let repeatable = |f: &HttpFilter| {
        matches!(f, HttpFilter::RequestMirror(_) | HttpFilter::ExtensionRef(_) | HttpFilter::ExternalAuth)
    };
    let mut types: Vec<&str> = Vec::new();
    for (i, filter) in list.iter().enumerate().filter(|(_, f)| !repeatable(f)) {
        let name = filter.type_name();
        if types.contains(&name) {
            report.error(
                at.index(i),
                "Duplicate",
                format!("a {name} filter must not be repeated"),
                "merge it with the other",
            );
        } else {
            types.push(name);
        }
    }
    if types.contains(&"RequestRedirect") && types.contains(&"URLRewrite") {
        let message = "RequestRedirect and URLRewrite do not go together";
        report.error(at.clone(), "IncompatibleFilters", message, "remove one of them");
    }
}

fn one(filter: &HttpFilter, at: &FieldPath, report: &mut Report) {
    match filter {
        HttpFilter::RequestHeaderModifier(m) => headers(m, &at.key("requestHeaderModifier"), report),
        HttpFilter::ResponseHeaderModifier(m) => headers(m, &at.key("responseHeaderModifier"), report),
        HttpFilter::RequestRedirect(r) => redirect(r, &at.key("requestRedirect"), report),
        HttpFilter::UrlRewrite(r) => path(r.path.as_ref(), &at.key("urlRewrite"), report),
        HttpFilter::RequestMirror(m) => {
            reference::backend(&m.backend, &at.key("requestMirror").key("backendRef"), report);
        }
        HttpFilter::Cors(c) => cors(c, &at.key("cors"), report),
        HttpFilter::ExtensionRef(r) => {
            reference::object((&r.group, &r.kind), Some(&r.name), None, &at.key("extensionRef"), report);
        }
        HttpFilter::ExternalAuth => report.unsupported(at.key("externalAuth"), "remove the filter"),
    }
}

fn headers(m: &HeaderModifier, at: &FieldPath, report: &mut Report) {
    for (key, list) in [("set", &m.set), ("add", &m.add)] {
        header_list(list, &at.key(key), report);
    }
    let at = at.key("remove");
    for (i, name) in capped(&m.remove, MOST, &at, report).iter().enumerate() {
        keeps(header_name(name), "header's name", || at.index(i), report);
    }
    unique(&m.remove, |name| format!("header {name}"), |i| at.index(i), report);
}

fn header_list(list: &[HttpHeader], at: &FieldPath, report: &mut Report) {
    for (i, header) in capped(list, MOST, at, report).iter().enumerate() {
        let at = at.index(i);
        keeps(header_name(&header.name), "header's name", || at.key("name"), report);
        keeps(header_value(&header.value), "header's value", || at.key("value"), report);
    }
    let mut exact: Vec<&Arc<str>> = list.iter().map(|h| &h.name).collect();
    unique(exact.iter(), |name| format!("header {name}"), |i| at.index(i).key("name"), report);
    exact.sort();
    exact.dedup();
    if exact.len() == list.len() {
        warn_of_same_header(list.iter().map(|h| &h.name), |i| at.index(i).key("name"), report);
    }
}

fn redirect(r: &Redirect, at: &FieldPath, report: &mut Report) {
    path(r.path.as_ref(), at, report);
    if let Some(code) = r.status_code.filter(|code| !REDIRECTS.contains(code)) {
        let message = format!("{code} is not a redirect's status");
        report.error(at.key("statusCode"), "InvalidValue", message, "use 301, 302, 303, 307 or 308");
    }
}

fn path(modifier: Option<&PathModifier>, at: &FieldPath, report: &mut Report) {
    let (key, text) = match modifier {
        Some(PathModifier::Full(text)) => ("replaceFullPath", text),
        Some(PathModifier::PrefixMatch(text)) => ("replacePrefixMatch", text),
        None => return,
    };
    keeps(too_long(text, MOST_PATH), "path", || at.key("path").key(key), report);
}

fn cors(c: &CorsFilter, at: &FieldPath, report: &mut Report) {
    let (most, most_methods) = MOST_CORS;
    set(&c.allow_origins, most, origin, "origin", &at.key("allowOrigins"), report);
    set(&c.allow_methods, most_methods, method, "method", &at.key("allowMethods"), report);
    set(&c.allow_headers, most, header_name, "header's name", &at.key("allowHeaders"), report);
    set(&c.expose_headers, most, header_name, "header's name", &at.key("exposeHeaders"), report);
    for (key, list) in
        [("allowOrigins", &c.allow_origins), ("allowMethods", &c.allow_methods), ("allowHeaders", &c.allow_headers)]
    {
        if list.len() > 1 && list.iter().any(|item| &**item == "*") {
            report.error(
                at.key(key),
                "InvalidValue",
                "'*' stands for all and goes with no other",
                "leave only one of them",
            );
        }
    }
    if let Some(age) = c.max_age.filter(|age| *age < 1) {
        report.error(at.key("maxAge"), "OutOfRange", format!("{age} is out of range"), "use at least 1 (seconds)");
    }
}

fn set(
    list: &[Arc<str>],
    most: usize,
    syntax: fn(&str) -> Option<Broken>,
    what: &str,
    at: &FieldPath,
    report: &mut Report,
) {
    for (i, item) in capped(list, most, at, report).iter().enumerate() {
        keeps(syntax(item), what, || at.index(i), report);
    }
    unique(list, |item| format!("{item:?}"), |i| at.index(i), report);
}

fn method(method: &str) -> Option<Broken> {
    let known = method == "*" || Method::ALL.contains(&method);
    (!known).then(|| format!("use * or one of {}", Method::ALL.join(", ")).into())
}

/// `CORSOrigin`: `*`, or `http(s)://host[:port]`, where the host may be `*` or begin with `*.`.
fn origin(text: &str) -> Option<Broken> {
    let rule = || Some(Broken::from("write scheme://host[:port], as in https://*.example.com, or *"));
    if text == "*" {
        return None;
    }
    let Some(authority) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return rule() };
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let port_valid = port.is_none_or(|p| (1..=5).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if port_valid && (host == "*" || name.split('.').all(label)) { too_long(text, 253) } else { rule() }
}
