//! Route tables and virtual hosts.

use super::{
    action::{forward, redirect, respond},
    any::{any, regex},
    cors, hcm,
    headers::{self, Changes},
};
use crate::{engine::TableKey, ir};
use std::collections::{BTreeSet, HashMap};
use tombolo_api::gateway::{HttpMatch, PathMatch, ValueMatch};
use tombolo_proto::{
    Part, Ref, ResourceType,
    envoy::{
        envoy::{
            config::route::v3::{
                HeaderMatcher, QueryParameterMatcher, Route, RouteConfiguration, RouteMatch, VirtualHost,
                header_matcher::HeaderMatchSpecifier, query_parameter_matcher::QueryParameterMatchSpecifier,
                route::Action, route_match::PathSpecifier,
            },
            r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
        },
        google::protobuf::{Any, BoolValue},
    },
};

/// The fields of a route table besides its virtual hosts.
pub(crate) fn route_table(name: &str, table: &TableKey) -> Part {
    let table = RouteConfiguration {
        name: name.to_owned(),
        // A cluster that is gone costs the requests for it, not the table.
        validate_clusters: Some(BoolValue { value: false }),
        // Hosts are matched by name alone (Gateway API, `Hostname`), but where one table serves every port.
        ignore_port_in_host_matching: !matches!(table, TableKey::HttpProxy { .. }),
        ..Default::default()
    };
    Part::of(&table, Vec::<Ref>::new())
}

/// A virtual host, as a field of a route table.
pub(crate) fn virtual_host(ir: &ir::VirtualHost) -> Part {
    let host = VirtualHost {
        name: ir.name.clone(),
        domains: ir.domains.clone(),
        routes: ir.routes.iter().map(route).collect(),
        ..Default::default()
    };
    let clusters: BTreeSet<String> = ir.routes.iter().flat_map(|route| clusters(&route.rule)).collect();
    let refs: Vec<Ref> =
        clusters.into_iter().map(|name| Ref { kind: ResourceType::Cluster, name: name.into() }).collect();
    Part::of(&RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }, refs)
}

fn clusters(rule: &ir::Rule) -> impl Iterator<Item = String> + '_ {
    let shares = match &rule.action {
        ir::Action::Forward(forward) => forward.shares.as_slice(),
        ir::Action::Redirect(_) | ir::Action::Respond(_) => &[],
    };
    let forwarded = shares.iter().filter_map(|share| share.backend.as_ref());
    forwarded.chain(rule.mirrors.iter().map(|mirror| &mirror.backend)).map(ir::Backend::cluster)
}

fn route(ir: &ir::Route) -> Route {
    let rule = &*ir.rule;
    let request = Changes::of_request(&rule.request_headers);
    let response = Changes::of_response(&rule.response_headers);
    let action = match &rule.action {
        ir::Action::Forward(to) => Action::Route(forward(to, rule, &ir.matches.path, request.host.as_deref())),
        ir::Action::Redirect(to) => Action::Redirect(redirect(to, &ir.matches.path)),
        ir::Action::Respond(status) => Action::DirectResponse(respond(*status)),
    };
    Route {
        name: ir.name.clone(),
        r#match: Some(route_match(&ir.matches)),
        action: Some(action),
        typed_per_filter_config: filter_config(rule),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        ..Default::default()
    }
}

/// Settings that a rule has for the filters before the router. Of at most one filter: the map would encode more in any order.
fn filter_config(rule: &ir::Rule) -> HashMap<String, Any> {
    rule.cors.iter().map(|cors| (hcm::CORS_FILTER.to_owned(), any(&cors::policy(cors)))).collect()
}

fn route_match(ir: &HttpMatch) -> RouteMatch {
    let method = ir.method.map(|method| HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact(method.as_str()))),
        ..Default::default()
    });
    let headers = headers::first_of_each(&ir.headers, |h| &h.name).map(|header| HeaderMatcher {
        name: header.name.to_string(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value(&header.value))),
        ..Default::default()
    });
    let params = headers::first_of_each(&ir.query_params, |p| &p.name).map(|param| QueryParameterMatcher {
        name: param.name.to_string(),
        query_parameter_match_specifier: Some(QueryParameterMatchSpecifier::StringMatch(value(&param.value))),
    });
    RouteMatch {
        path_specifier: Some(path(&ir.path)),
        headers: method.into_iter().chain(headers).collect(),
        query_parameters: params.collect(),
        ..Default::default()
    }
}

fn path(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern)),
        PathMatch::Prefix(prefix) => match prefix.trim_end_matches('/') {
            "" => PathSpecifier::Prefix("/".to_owned()),
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        },
    }
}

fn value(value: &ValueMatch) -> StringMatcher {
    match value {
        ValueMatch::Exact(text) => exact(text),
        ValueMatch::Regex(pattern) => {
            StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(pattern))), ..Default::default() }
        }
    }
}

fn exact(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::Exact(text.to_owned())), ..Default::default() }
}
