//! Cross-origin questions.

use super::any::{boolean, regex};
use tombolo_api::gateway::CorsFilter;
use tombolo_proto::envoy::envoy::{
    extensions::filters::http::cors::v3::CorsPolicy,
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

/// Seconds that an answer may be kept if the filter does not say (Gateway API, `HTTPCORSFilter.maxAge`).
const DEFAULT_MAX_AGE: i64 = 5;

/// How the CORS filter answers for a route.
pub(super) fn policy(cors: &CorsFilter) -> CorsPolicy {
    CorsPolicy {
        allow_origin_string_match: cors.allow_origins.iter().map(|origin| self::origin(origin)).collect(),
        // Where these are `*`, the filter answers with what was asked for: with credentials a browser reads `*` as a name.
        allow_methods: list(&cors.allow_methods),
        allow_headers: list(&cors.allow_headers),
        expose_headers: list(&cors.expose_headers),
        max_age: cors.max_age.unwrap_or(DEFAULT_MAX_AGE).to_string(),
        allow_credentials: boolean(cors.allow_credentials.unwrap_or(false)),
        // The question of an origin that is not allowed is answered too: the backend might allow it.
        forward_not_matching_preflights: boolean(false),
        ..Default::default()
    }
}

fn list(names: &[std::sync::Arc<str>]) -> String {
    names.join(", ")
}

/// An origin: exact, or with `*` for any run of characters.
fn origin(origin: &str) -> StringMatcher {
    let pattern = match origin.contains('*') {
        true => MatchPattern::SafeRegex(regex(&::regex::escape(origin).replace(r"\*", ".*"))),
        false => MatchPattern::Exact(origin.to_owned()),
    };
    StringMatcher { match_pattern: Some(pattern), ignore_case: !origin.contains('*') }
}
