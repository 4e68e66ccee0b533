//! Cross-origin questions.

use super::any::{boolean, regex};
use tombolo_api::gateway::{CorsFilter, Method};
use tombolo_proto::envoy::envoy::{
    extensions::filters::http::cors::v3::CorsPolicy,
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

/// Seconds that an answer may be kept if the filter does not say (Gateway API, `HTTPCORSFilter.maxAge`).
const DEFAULT_MAX_AGE: i32 = 5;

/// How the CORS filter answers for a route.
pub(super) fn policy(cors: &CorsFilter) -> CorsPolicy {
    let credentials = cors.allow_credentials.unwrap_or(false);
    let methods: Vec<&str> = match &cors.allow_methods[..] {
        // With credentials a browser reads `*` as a method's name, so all are spelt out.
        [any] if &**any == "*" && credentials => Method::ALL.to_vec(),
        some => some.iter().map(|method| &**method).collect(),
    };
    CorsPolicy {
        allow_origin_string_match: cors.allow_origins.iter().map(|origin| self::origin(origin)).collect(),
        allow_methods: methods.join(", "),
        allow_headers: list(&cors.allow_headers),
        expose_headers: list(&cors.expose_headers),
        max_age: cors.max_age.unwrap_or(DEFAULT_MAX_AGE).to_string(),
        allow_credentials: boolean(credentials),
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
