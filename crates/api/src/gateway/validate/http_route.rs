//! HTTPRoute.

use super::{capped, filter, matching, not_empty, reference, section_name, spec, unique};
use crate::{
    Report,
    gateway::{HttpFilter, HttpMatch, HttpRoute, HttpRule, PathMatch, PathModifier, Retry, Timeouts, hostname},
};
use tombolo_core::FieldPath;

const MOST_PARENTS: usize = 32;
const MOST_HOSTNAMES: usize = 16;
const MOST_RULES: usize = 16;
/// Of one rule, and of all together.
const MOST_MATCHES: (usize, usize) = (64, 128);
const MOST_BACKENDS: usize = 16;

pub(in crate::gateway) fn http_route(route: &HttpRoute, report: &mut Report) {
    let parents = spec().key("parentRefs");
    reference::parents(capped(&route.parent_refs, MOST_PARENTS, &parents, report), &parents, report);
    let hostnames = spec().key("hostnames");
    for (i, host) in capped(&route.hostnames, MOST_HOSTNAMES, &hostnames, report).iter().enumerate() {
        hostname::warn(host, || hostnames.index(i), report);
    }
    rules(&route.rules, &spec().key("rules"), report);
    if route.use_default_gateways.is_some() {
        report.unsupported(spec().key("useDefaultGateways"), "name the Gateways in parentRefs");
    }
}

fn rules(list: &[HttpRule], at: &FieldPath, report: &mut Report) {
    not_empty(list.len(), at, report);
    let within = capped(list, MOST_RULES, at, report);
    let mut matches_left = MOST_MATCHES.1; // a flood of expressions is not compiled only to be refused
    for (i, one) in within.iter().enumerate() {
        let at = at.index(i);
        matches(one, &mut matches_left, &at.key("matches"), report);
        if one.fault.is_none() {
            rule(one, &at, report);
        }
    }
    let named: Vec<(usize, &str)> =
        within.iter().enumerate().filter_map(|(i, r)| Some((i, r.name.as_deref()?))).collect();
    let at_name = |i: usize| at.index(named[i].0).key("name");
    unique(named.iter().map(|(_, name)| *name), |name| format!("name {name}"), at_name, report);
    let count: usize = within.iter().map(|r| r.matches.len()).sum();
    if count > MOST_MATCHES.1 {
        let message = format!("{count} matches in all rules together; at most {} are allowed", MOST_MATCHES.1);
        report.error(at.clone(), "TooMany", message, "split the route");
    }
}

fn matches(rule: &HttpRule, left: &mut usize, at: &FieldPath, report: &mut Report) {
    let list = capped(&rule.matches, MOST_MATCHES.0, at, report);
    for (i, m) in list.iter().take(*left).enumerate() {
        matching::http_match(m, &at.index(i), report);
    }
    *left = left.saturating_sub(list.len());
}

fn rule(rule: &HttpRule, at: &FieldPath, report: &mut Report) {
    if let Some(name) = &rule.name {
        section_name(name, at.key("name"), report);
    }
    filter::filters(&rule.filters, &at.key("filters"), report);
    let backends = at.key("backendRefs");
    for (i, b) in capped(&rule.backend_refs, MOST_BACKENDS, &backends, report).iter().enumerate() {
        let at = backends.index(i);
        reference::backend(&b.backend, &at, report);
        filter::filters(&b.filters, &at.key("filters"), report);
        prefix_replacement(&b.filters, &rule.matches, &at.key("filters"), report);
    }
    prefix_replacement(&rule.filters, &rule.matches, &at.key("filters"), report);
    redirect_with_backends(rule, at, report);
    if let Some(t) = &rule.timeouts {
        timeouts(t, &at.key("timeouts"), report);
    }
    if let Some(r) = &rule.retry {
        retry(r, &at.key("retry"), report);
    }
    if rule.session_persistence.is_some() {
        report.unsupported(at.key("sessionPersistence"), "remove it");
    }
}

fn redirect_with_backends(rule: &HttpRule, at: &FieldPath, report: &mut Report) {
    let redirect = rule.filters.iter().position(|f| matches!(f, HttpFilter::RequestRedirect(_)));
    if let Some(i) = redirect.filter(|_| !rule.backend_refs.is_empty()) {
        let message = "a redirect answers by itself and goes with no backendRefs";
        let fix = "remove the filter or the backendRefs";
        report.error(at.key("filters").index(i), "IncompatibleFilters", message, fix);
    }
}

/// Replacing the prefix that matched needs one to have matched.
fn prefix_replacement(filters: &[HttpFilter], matches: &[HttpMatch], at: &FieldPath, report: &mut Report) {
    if matches!(matches, [HttpMatch { path: PathMatch::Prefix(_), .. }]) {
        return;
    }
    for (i, filter) in filters.iter().enumerate() {
        let (key, path) = match filter {
            HttpFilter::RequestRedirect(r) => ("requestRedirect", &r.path),
            HttpFilter::UrlRewrite(r) => ("urlRewrite", &r.path),
            _ => continue,
        };
        if matches!(path, Some(PathModifier::PrefixMatch(_))) {
            let field = at.index(i).key(key).key("path").key("replacePrefixMatch");
            let message = "replacing a prefix needs exactly one match in the rule, of type PathPrefix";
            report.error(field, "InvalidValue", message, "give each prefix a rule of its own");
        }
    }
}

fn timeouts(t: &Timeouts, at: &FieldPath, report: &mut Report) {
    let (Some(request), Some(backend)) = (t.request, t.backend_request) else { return };
    if !request.is_zero() && backend > request {
        let message = format!("one try may take {backend}, longer than the whole request, {request}");
        report.error(at.key("backendRequest"), "OutOfRange", message, "use at most timeouts.request");
    }
}

fn retry(r: &Retry, at: &FieldPath, report: &mut Report) {
    let codes = at.key("codes");
    for (i, code) in r.codes.iter().enumerate().filter(|(_, code)| !(400..=599).contains(*code)) {
        report.error(codes.index(i), "OutOfRange", format!("{code} is no error's status"), "use 400 to 599");
    }
    if r.attempts == Some(0) {
        report.error(at.key("attempts"), "OutOfRange", "0 is no number of tries", "use 1 or more, or remove retry");
    }
    unique(&r.codes, |code| format!("code {code}"), |i| codes.index(i), report);
}
