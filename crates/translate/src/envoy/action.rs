//! What becomes of a request that a route matches.

use super::{
    any::{any, boolean, duration, regex, uint32},
    headers::Changes,
};
use crate::{ir, names};
use tombolo_api::gateway::{PathMatch, RedirectScheme};
use tombolo_core::Host;
use tombolo_proto::envoy::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            DirectResponseAction, RedirectAction, RetryPolicy, RouteAction, WeightedCluster,
            redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
            retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate::ConfigType},
            route_action::{
                ClusterNotFoundResponseCode, ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy,
                hash_policy::{ConnectionProperties, PolicySpecifier},
            },
            weighted_cluster::{ClusterWeight, cluster_weight},
        },
    },
    extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate,
    r#type::{
        matcher::v3::RegexMatchAndSubstitute,
        v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
};

/// A connection that failed, or a stream that was refused, carried no request: trying again is always safe.
const SAFE_RETRIES: &str = "connect-failure,refused-stream";
/// How often that is done.
const SAFE_RETRY_ATTEMPTS: u32 = 2;

/// To a backend. `host`: what the rule's header changes say of the host.
pub(super) fn forward(to: &ir::Forward, rule: &ir::Rule, path: &PathMatch, host: Option<&str>) -> RouteAction {
    let (prefix_rewrite, regex_rewrite) = match to.path.as_ref().map(|change| rewrite(change, path)) {
        Some(PathRewrite::Prefix(prefix)) => (prefix, None),
        Some(PathRewrite::Regex(regex)) => (String::new(), Some(regex)),
        Some(PathRewrite::Keep) | None => (String::new(), None),
    };
    let host = to.host.as_ref().map(Host::as_str).or(host);
    RouteAction {
        cluster_specifier: Some(shares(&to.shares)),
        // A backend that is not there is the route's mistake, not an overload (Gateway API: 500).
        cluster_not_found_response_code: ClusterNotFoundResponseCode::InternalServerError.into(),
        prefix_rewrite,
        regex_rewrite,
        host_rewrite_specifier: host.map(|h| HostRewriteSpecifier::HostRewriteLiteral(h.to_owned())),
        // Without a limit of the route's own there is none: Envoy's own default of 15 s would surprise.
        timeout: Some(duration(to.timeout.unwrap_or_default())),
        retry_policy: Some(retries(to)),
        hash_policy: to.client_affinity.then(by_client).into_iter().collect(),
        request_mirror_policies: rule.mirrors.iter().map(mirror).collect(),
        ..Default::default()
    }
}

/// By the client's address: for clusters whose service wants one client's requests at one endpoint. Others pay no heed.
fn by_client() -> HashPolicy {
    let connection = ConnectionProperties { source_ip: true };
    HashPolicy { policy_specifier: Some(PolicySpecifier::ConnectionProperties(connection)), terminal: false }
}

fn shares(shares: &[ir::Share]) -> ClusterSpecifier {
    let name = |share: &ir::Share| {
        share.backend.as_ref().map_or_else(|| names::INVALID_BACKEND.to_owned(), ir::Backend::cluster)
    };
    let used: Vec<&ir::Share> = shares.iter().filter(|share| share.weight > 0).collect();
    if let [only] = used[..]
        && only.is_plain()
    {
        return ClusterSpecifier::Cluster(name(only));
    }
    let clusters = used.into_iter().map(|share| {
        let request = Changes::of_request(&share.request_headers);
        let response = Changes::of_response(&share.response_headers);
        let host = share.host.as_ref().map(|h| h.as_str().to_owned()).or(request.host);
        ClusterWeight {
            name: name(share),
            weight: uint32(share.weight),
            request_headers_to_add: request.add,
            request_headers_to_remove: request.remove,
            response_headers_to_add: response.add,
            response_headers_to_remove: response.remove,
            host_rewrite_specifier: host.map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
            ..Default::default()
        }
    });
    ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect(), ..Default::default() })
}

fn retries(to: &ir::Forward) -> RetryPolicy {
    let per_try_timeout = to.try_timeout.map(duration);
    let safe = RetryPolicy {
        retry_on: SAFE_RETRIES.to_owned(),
        num_retries: uint32(SAFE_RETRY_ATTEMPTS),
        per_try_timeout,
        // Not the endpoint that has just failed, if there is another.
        retry_host_predicate: vec![previous_hosts()],
        host_selection_retry_max_attempts: 5,
        ..Default::default()
    };
    let Some(retry) = &to.retry else { return safe };
    RetryPolicy {
        // `reset` covers a try that timed out or broke off.
        retry_on: format!("{SAFE_RETRIES},reset,retriable-status-codes"),
        retriable_status_codes: retry.codes.iter().map(|code| u32::from(*code)).collect(),
        num_retries: uint32(retry.attempts),
        retry_back_off: retry
            .backoff
            .map(|base| RetryBackOff { base_interval: Some(duration(base)), max_interval: None }),
        ..safe
    }
}

fn previous_hosts() -> RetryHostPredicate {
    let config = ConfigType::TypedConfig(any(&PreviousHostsPredicate {}));
    RetryHostPredicate { name: "envoy.retry_host_predicates.previous_hosts".to_owned(), config_type: Some(config) }
}

fn mirror(mirror: &ir::Mirror) -> RequestMirrorPolicy {
    let share = FractionalPercent { numerator: mirror.parts_per_million, denominator: DenominatorType::Million.into() };
    RequestMirrorPolicy {
        cluster: mirror.backend.cluster(),
        runtime_fraction: Some(RuntimeFractionalPercent { default_value: Some(share), ..Default::default() }),
        // A copy that calls its host something else is no copy.
        disable_shadow_host_suffix_append: true,
        trace_sampled: boolean(false),
        ..Default::default()
    }
}

/// Another place.
pub(super) fn redirect(to: &ir::Redirect, path: &PathMatch) -> RedirectAction {
    let path = to.path.as_ref().and_then(|change| match (change, rewrite(change, path)) {
        (ir::PathChange::Full(path), _) => Some(PathRewriteSpecifier::PathRedirect(path.to_string())),
        (_, PathRewrite::Prefix(prefix)) => Some(PathRewriteSpecifier::PrefixRewrite(prefix)),
        (_, PathRewrite::Regex(regex)) => Some(PathRewriteSpecifier::RegexRewrite(regex)),
        (_, PathRewrite::Keep) => None,
    });
    let code = match to.status {
        301 => RedirectResponseCode::MovedPermanently,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::Found,
    };
    RedirectAction {
        scheme_rewrite_specifier: to.scheme.map(|scheme| match scheme {
            RedirectScheme::Http => SchemeRewriteSpecifier::SchemeRedirect("http".to_owned()),
            RedirectScheme::Https => SchemeRewriteSpecifier::SchemeRedirect("https".to_owned()),
        }),
        host_redirect: to.host.as_ref().map(|h| h.as_str().to_owned()).unwrap_or_default(),
        port_redirect: to.port.map_or(0, |port| port.get().into()),
        path_rewrite_specifier: path,
        response_code: code.into(),
        ..Default::default()
    }
}

/// Answered at once.
pub(super) fn respond(status: u16) -> DirectResponseAction {
    DirectResponseAction { status: status.into(), ..Default::default() }
}

/// How a path changes, in Envoy's terms.
enum PathRewrite {
    Keep,
    Prefix(String),
    Regex(RegexMatchAndSubstitute),
}

/// A prefix is replaced element by element, with one slash between what replaces it and what follows it (Gateway API,
/// `ReplacePrefixMatch`): where Envoy would leave none or two, a regular expression does it.
fn rewrite(change: &ir::PathChange, path: &PathMatch) -> PathRewrite {
    let substitute = |pattern: String, text: &str| {
        PathRewrite::Regex(RegexMatchAndSubstitute {
            pattern: Some(regex(&pattern)),
            substitution: text.replace('\\', r"\\"),
        })
    };
    match change {
        ir::PathChange::Full(path) => substitute("^/.*$".to_owned(), path),
        ir::PathChange::Prefix(new) => {
            let old = match path {
                PathMatch::Prefix(old) => old.trim_end_matches('/'),
                PathMatch::Exact(_) | PathMatch::Regex(_) => return PathRewrite::Keep,
            };
            match (old, new.trim_end_matches('/')) {
                ("", "") => PathRewrite::Keep,
                ("", new) => PathRewrite::Prefix(format!("{new}/")),
                (old, "") => substitute(format!("^{}/*", escape(old)), "/"),
                (_, new) => PathRewrite::Prefix(new.to_owned()),
            }
        }
    }
}

fn escape(text: &str) -> String {
    ::regex::escape(text)
}
