//! The routes of one name, merged.

use super::{
    CompiledRule, Rules,
    precedence::Precedence,
    preflight::{is_question, preflight},
};
use crate::{
    engine::{Emits, Fact, GatewayTable, Relation, TableKey, View},
    ir::{Action, Backend, Redirect, Route, Rule, VirtualHost},
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::{
    ObjectKey,
    gateway::{HttpMatch, HttpRoute, PathMatch, RedirectScheme},
};
use tombolo_core::{Host, Port};

/// Merges the routes of a name of a Gateway's table, and says which services it uses. `None` where nothing calls for the name.
pub(crate) fn virtual_host(
    view: &View<'_>,
    (table, host): (&TableKey, &Host),
    at: &GatewayTable,
    emits: &mut Emits,
) -> Option<VirtualHost> {
    let (port, tls_listener) = (at.port, at.listener.as_deref());
    let mut entries = Vec::new();
    let (mut called_for, mut misdirected) = (false, false);
    for fact in view.relation(Relation::VirtualHost(table.clone(), host.clone())) {
        called_for = true;
        match fact {
            Fact::Object(route) => collect(view, route, &mut entries),
            Fact::Name(listener) => misdirected |= tls_listener.is_some_and(|own| own != &**listener),
            _ => {}
        }
    }
    if !called_for {
        return None;
    }
    entries.sort_by(|a, b| a.precedence.cmp(&b.precedence));
    let mut routes: Vec<Route> = entries
        .into_iter()
        .map(|Entry { route, rule, matches, .. }| Route {
            name: format!("{}/{}/{}", route.name.namespace, route.name.name, rule.name),
            matches,
            rule: at_listener(&rule.rule, port, tls_listener.is_some()),
        })
        .collect();
    if routes.is_empty() && misdirected {
        routes.push(respond(421));
    }
    let scope = table.scope();
    for Backend { host, port, namespace, .. } in backends(&routes) {
        emits.fact(Relation::Uses(scope.clone(), host.clone(), *port), Fact::Namespace(namespace.clone()));
    }
    let domains = vec![host.as_str().to_owned()];
    Some(VirtualHost { name: host.as_str().to_owned(), domains, routes })
}

/// One match of one route's rule, where it stands among all.
struct Entry<'a> {
    precedence: Precedence<'a>,
    route: &'a ObjectKey,
    rule: &'a CompiledRule,
    matches: HttpMatch,
}

fn collect<'a>(view: &View<'a>, route: &'a ObjectKey, entries: &mut Vec<Entry<'a>>) {
    let (Some(row), Some(object)) = (view.unit(&Rules(route.clone())), view.object::<HttpRoute>(route)) else { return };
    let age = object.metadata.creation_timestamp;
    for (i, rule) in row.rules.iter().enumerate() {
        for (j, m) in rule.matches.iter().enumerate() {
            let precedence = |m: &HttpMatch| Precedence::of(m, age, route, i, j);
            entries.push(Entry { precedence: precedence(m), route, rule, matches: m.clone() });
            if let Some(question) = preflight(&rule.rule, m) {
                let precedence = precedence(&question);
                let matches = HttpMatch { headers: is_question(m.method), ..question };
                entries.push(Entry { precedence, route, rule, matches });
            }
        }
    }
}

/// A rule as one listener has it: a redirect without a port keeps the listener's, unless its scheme has one of its own.
/// Well-known ports are left out where requests come without a port too.
fn at_listener(rule: &Arc<Rule>, listener: Port, tls: bool) -> Arc<Rule> {
    let Action::Redirect(redirect) = &rule.action else { return rule.clone() };
    let scheme = match redirect.scheme {
        Some(scheme) => scheme,
        None if tls => RedirectScheme::Https,
        None => RedirectScheme::Http,
    };
    let known = match scheme {
        RedirectScheme::Http => 80,
        RedirectScheme::Https => 443,
    };
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => port.get(),
        (None, Some(_)) => known,
        (None, None) => listener.get(),
    };
    // Requests to 80 and 443 name no port, so none needs to be replaced.
    let implied = port == known && (redirect.host.is_some() || matches!(listener.get(), 80 | 443));
    let port = if implied { None } else { Port::new(i64::from(port)).ok() };
    let action = Action::Redirect(Redirect { port, ..redirect.clone() });
    Arc::new(Rule { action, ..(**rule).clone() })
}

fn respond(status: u16) -> Route {
    let rule = Rule {
        action: Action::Respond(status),
        request_headers: Default::default(),
        response_headers: Default::default(),
        cors: None,
        mirrors: Vec::new(),
    };
    let matches = HttpMatch { path: PathMatch::default(), ..Default::default() };
    Route { name: status.to_string(), matches, rule: Arc::new(rule) }
}

/// The services that routes use, each once.
fn backends(routes: &[Route]) -> BTreeSet<&Backend> {
    let mut used = BTreeSet::new();
    for route in routes {
        if let Action::Forward(forward) = &route.rule.action {
            used.extend(forward.shares.iter().filter_map(|share| share.backend.as_ref()));
        }
        used.extend(route.rule.mirrors.iter().map(|mirror| &mirror.backend));
    }
    used
}
