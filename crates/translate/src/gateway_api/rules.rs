//! A route's rules, compiled once for all its Gateways and names.

use super::{Refusal, backend};
use crate::{
    engine::{Built, Unit, View},
    ir::{Action, Forward, Mirror, PathChange, Redirect, Retry, Rule, Share},
    mesh,
};
use std::sync::Arc;
use tombolo_api::{
    ObjectKey,
    gateway::{
        self, HeaderModifier, HttpBackendRef, HttpFilter, HttpHeader, HttpMatch, HttpRoute, HttpRule, PathModifier,
    },
    manifest::Fault,
};
use tombolo_core::FieldPath;

/// A route's rules, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rules(pub ObjectKey);

/// A route's rules.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesRow {
    /// In the spec's order.
    pub rules: Vec<CompiledRule>,
    /// References that lead nowhere: the rule, or its share, answers with 500.
    pub unresolved: Vec<(FieldPath, Refusal)>,
    /// What is valid and cannot be served: the rule, or its share, answers with 500.
    pub unsupported: Vec<(FieldPath, Refusal)>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledRule {
    /// Its name, else its index.
    pub name: String,
    /// None where none can be told.
    pub matches: Vec<HttpMatch>,
    /// What becomes of the requests.
    pub rule: Arc<Rule>,
    /// It serves nothing, as something in it cannot be served.
    pub dropped: bool,
}

impl RulesRow {
    /// The rules that serve nothing, as something in them cannot be served.
    pub fn dropped(&self) -> impl Iterator<Item = &CompiledRule> {
        self.rules.iter().filter(|rule| rule.dropped)
    }
}

impl Unit for Rules {
    type Output = Arc<RulesRow>;
    const RANK: u8 = 4;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let route = view.object::<HttpRoute>(&self.0)?;
        let mut compiler = Compiler { view, route: &self.0, unresolved: Vec::new(), unsupported: Vec::new() };
        let rules = route.rules.iter().enumerate().map(|(i, rule)| compiler.rule(i, rule)).collect();
        let Compiler { unresolved, unsupported, .. } = compiler;
        Some(Built::from(Arc::new(RulesRow { rules, unresolved, unsupported })))
    }
}

/// Compiles rules, keeping what is refused.
struct Compiler<'a> {
    view: &'a View<'a>,
    route: &'a ObjectKey,
    unresolved: Vec<(FieldPath, Refusal)>,
    unsupported: Vec<(FieldPath, Refusal)>,
}

/// Where in the route something stands; printed only when it is refused.
#[derive(Clone, Copy)]
struct At<'a> {
    rule: usize,
    backend: Option<usize>,
    filter: Option<usize>,
    field: &'a str,
}

impl<'a> At<'a> {
    fn rule(rule: usize) -> Self {
        Self { rule, backend: None, filter: None, field: "" }
    }

    fn backend(self, backend: usize) -> Self {
        Self { backend: Some(backend), ..self }
    }

    fn filter(self, filter: usize, field: &'a str) -> Self {
        Self { filter: Some(filter), field, ..self }
    }

    fn path(self) -> FieldPath {
        let mut path = FieldPath::from("spec.rules").index(self.rule);
        for (list, index) in [("backendRefs", self.backend), ("filters", self.filter)] {
            path = index.map_or_else(|| path.clone(), |index| path.key(list).index(index));
        }
        path.join(self.field)
    }
}

/// What the filters of a rule, or of one of its backends, come to.
#[derive(Default)]
struct Filters {
    request_headers: HeaderModifier,
    response_headers: HeaderModifier,
    redirect: Option<Redirect>,
    rewrite: gateway::Rewrite,
    mirrors: Vec<Mirror>,
    cors: Option<gateway::CorsFilter>,
    /// A filter that is not known, or cannot be: requests must not pass as if it were not there.
    unknown: bool,
}

impl Compiler<'_> {
    fn rule(&mut self, index: usize, rule: &HttpRule) -> CompiledRule {
        let (at, before) = (At::rule(index), (self.unsupported.len(), self.unresolved.len()));
        for (_, fault) in &rule.untold {
            self.fault(fault);
        }
        let mut filters = match &rule.fault {
            None => self.filters(at, &rule.filters),
            Some(fault) => {
                self.fault(fault);
                Filters { unknown: true, ..Filters::default() }
            }
        };
        let action = match &filters.redirect {
            _ if filters.unknown => Action::Respond(500),
            Some(redirect) => Action::Redirect(redirect.clone()),
            None => self.forward(at, rule, &mut filters),
        };
        let Filters { request_headers, response_headers, mirrors, cors, .. } = filters;
        let matches = rule.told();
        // References that lead nowhere have a condition of their own.
        let serves_nothing = filters.unknown || action == Action::Respond(500) && self.unresolved.len() == before.1;
        CompiledRule {
            name: rule.name.as_deref().map_or_else(|| index.to_string(), str::to_owned),
            dropped: matches.is_empty() || self.unsupported.len() > before.0 && serves_nothing,
            matches,
            rule: Arc::new(Rule { action, request_headers, response_headers, cors: cors.map(Box::new), mirrors }),
        }
    }

    fn fault(&mut self, fault: &Fault) {
        let refusal = Refusal { reason: "UnsupportedValue", message: fault.to_string() };
        self.unsupported.push((fault.field.clone(), refusal));
    }

    fn filters(&mut self, at: At<'_>, filters: &[HttpFilter]) -> Filters {
        let mut all = Filters::default();
        for (i, filter) in filters.iter().enumerate() {
            match filter {
                HttpFilter::RequestHeaderModifier(headers) => extend(&mut all.request_headers, headers),
                HttpFilter::ResponseHeaderModifier(headers) => extend(&mut all.response_headers, headers),
                HttpFilter::RequestRedirect(redirect) => all.redirect = Some(self::redirect(redirect)),
                HttpFilter::UrlRewrite(rewrite) => all.rewrite = rewrite.clone(),
                HttpFilter::RequestMirror(mirror) => {
                    all.mirrors.extend(self.mirror(at.filter(i, "requestMirror.backendRef"), mirror));
                }
                HttpFilter::Cors(cors) => all.cors = Some(cors.clone()),
                HttpFilter::ExtensionRef(reference) => {
                    let message = format!("filters of kind {} are not supported: remove the filter", reference.kind);
                    let at = at.filter(i, "extensionRef");
                    self.unresolved.push((at.path(), Refusal { reason: "InvalidKind", message }));
                    all.unknown = true;
                }
                // Were it served, it would be served open.
                HttpFilter::ExternalAuth => {
                    let message = "filters of type ExternalAuth are not supported: remove the filter".to_owned();
                    self.unsupported.push((at.filter(i, "").path(), Refusal { reason: "UnsupportedValue", message }));
                    all.unknown = true;
                }
            }
        }
        all
    }

    fn forward(&mut self, at: At<'_>, rule: &HttpRule, filters: &mut Filters) -> Action {
        let backends = rule.backend_refs.iter().enumerate();
        let mut shares: Vec<Share> = backends.map(|(i, backend)| self.share(at.backend(i), backend)).collect();
        if !shares.iter().any(|share| share.backend.is_some() && share.weight > 0) {
            return Action::Respond(500);
        }
        hand_down(&mut filters.request_headers, &mut shares);
        let client_affinity =
            shares.iter().filter_map(|share| share.backend.as_ref()).any(|to| self.client_affinity(to));
        let timeouts = rule.timeouts.unwrap_or_default();
        let limit =
            |timeout: Option<tombolo_api::Duration>| timeout.filter(|t| !t.is_zero()).map(tombolo_api::Duration::get);
        Action::Forward(Forward {
            shares,
            host: filters.rewrite.hostname.clone(),
            path: filters.rewrite.path.as_ref().map(path_change),
            timeout: limit(timeouts.request),
            try_timeout: limit(timeouts.backend_request),
            retry: rule.retry.as_ref().map(retry),
            client_affinity,
        })
    }

    /// A share that must be changed in a way that cannot be is answered with 500, like one that leads nowhere.
    fn share(&mut self, at: At<'_>, backend: &HttpBackendRef) -> Share {
        let target = self.backend(at, &backend.backend);
        let filters = self.filters(at, &backend.filters);
        let whole_rule = filters.redirect.is_some() || filters.rewrite.path.is_some() || filters.cors.is_some();
        if whole_rule || !filters.mirrors.is_empty() {
            let message = "backendRefs.filters may change headers and the host only: move other filters to the rule";
            let refusal = Refusal { reason: "UnsupportedValue", message: message.to_owned() };
            self.unsupported.push((at.path().key("filters"), refusal));
        }
        Share {
            backend: target.filter(|_| !filters.unknown && !whole_rule),
            weight: backend.backend.weight,
            request_headers: filters.request_headers,
            response_headers: filters.response_headers,
            host: filters.rewrite.hostname,
        }
    }

    fn mirror(&mut self, at: At<'_>, mirror: &gateway::Mirror) -> Option<Mirror> {
        let parts = |f: gateway::Fraction| u128::from(f.numerator) * 1_000_000 / u128::from(f.denominator.max(1));
        let parts_per_million = mirror.fraction.map_or(1_000_000, |f| u32::try_from(parts(f)).unwrap_or(1_000_000));
        Some(Mirror { backend: self.backend(at, &mirror.backend)?, parts_per_million })
    }

    fn client_affinity(&self, backend: &crate::ir::Backend) -> bool {
        let definition = self.view.unit(&mesh::Service(backend.host.clone()));
        definition.and_then(|row| row.of(&backend.namespace)).is_some_and(|definition| definition.client_affinity)
    }

    fn backend(&mut self, at: At<'_>, reference: &gateway::BackendRef) -> Option<crate::ir::Backend> {
        let resolved = backend::resolve(self.view, self.route, reference);
        resolved.map_err(|refusal| self.unresolved.push((at.path(), refusal))).ok()
    }
}

fn extend(all: &mut HeaderModifier, more: &HeaderModifier) {
    all.set.extend(more.set.iter().cloned());
    all.add.extend(more.add.iter().cloned());
    all.remove.extend(more.remove.iter().cloned());
}

/// A request passes the rule's filters, then its backend's. An Envoy has it the other way round, so where a backend changes
/// requests, each makes the rule's changes too. (Responses come back the way that Envoy has it.)
fn hand_down(rule: &mut HeaderModifier, shares: &mut [Share]) {
    if shares.iter().any(|share| share.request_headers != HeaderModifier::default()) {
        let rule = std::mem::take(rule);
        for share in shares {
            share.request_headers = in_turn(&rule, &share.request_headers);
        }
    }
}

/// Two changes as one: what the second sets or removes, the first need not add. (Sets come before additions, removals before both.)
fn in_turn(first: &HeaderModifier, second: &HeaderModifier) -> HeaderModifier {
    let replaced = |name: &str| {
        let mut names = second.set.iter().map(|header| &header.name).chain(&second.remove);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };
    let both = |first: &[HttpHeader], second: &[HttpHeader]| {
        first.iter().filter(|header| !replaced(&header.name)).chain(second).cloned().collect()
    };
    HeaderModifier {
        set: both(&first.set, &second.set),
        add: both(&first.add, &second.add),
        remove: first.remove.iter().chain(&second.remove).cloned().collect(),
    }
}

fn path_change(path: &PathModifier) -> PathChange {
    match path {
        PathModifier::Full(path) => PathChange::Full(path.clone()),
        PathModifier::PrefixMatch(prefix) => PathChange::Prefix(prefix.clone()),
    }
}

fn redirect(redirect: &gateway::Redirect) -> Redirect {
    Redirect {
        scheme: redirect.scheme,
        host: redirect.hostname.clone(),
        port: redirect.port,
        path: redirect.path.as_ref().map(path_change),
        status: redirect.status_code.unwrap_or(302),
    }
}

fn retry(retry: &gateway::Retry) -> Retry {
    Retry {
        codes: retry.codes.clone(),
        attempts: retry.attempts.unwrap_or(1),
        backoff: retry.backoff.filter(|b| !b.is_zero()).map(tombolo_api::Duration::get),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderModifier {
        let headers = |list: &[(&str, &str)]| {
            list.iter().map(|(name, value)| HttpHeader { name: (*name).into(), value: (*value).into() }).collect()
        };
        HeaderModifier {
            set: headers(set),
            add: headers(add),
            remove: remove.iter().map(|name| (*name).into()).collect(),
        }
    }

    #[test]
    fn the_second_of_two_changes_has_the_last_word() {
        let first = modifier(&[("a", "1"), ("b", "1"), ("c", "1")], &[("d", "1"), ("e", "1"), ("f", "1")], &["g"]);
        let second = modifier(&[("A", "2"), ("g", "2"), ("D", "2")], &[("e", "2")], &["B", "F"]);
        let set = [("c", "1"), ("A", "2"), ("g", "2"), ("D", "2")];
        assert_eq!(in_turn(&first, &second), modifier(&set, &[("e", "1"), ("e", "2")], &["g", "B", "F"]));
        assert_eq!(in_turn(&first, &HeaderModifier::default()), first);
        assert_eq!(in_turn(&HeaderModifier::default(), &second), second);
    }
}
