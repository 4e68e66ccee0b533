//! Cross-origin questions, so that they find the rule that they ask about.
//!
//! Before a browser sends a cross-origin request it asks for leave, with OPTIONS (Fetch, "CORS-preflight fetch"). The question has
//! the request's path and query and names its method, and it has none of its headers. A match on a method other than OPTIONS, or
//! on headers, would never hear it.

use crate::ir::{Action, Rule};
use tombolo_api::gateway::{HeaderMatch, HttpMatch, Method, ValueMatch};

/// The match for the questions about a match of a rule, as far as precedence goes; `None` where the rule answers no questions, or
/// hears them anyway. Where it goes into a route it needs [`is_question`] besides.
pub(super) fn preflight(rule: &Rule, m: &HttpMatch) -> Option<HttpMatch> {
    let answers = rule.cors.is_some() && matches!(rule.action, Action::Forward(_));
    let hears = m.headers.is_empty() && m.method.is_none_or(|method| method == Method::OPTIONS);
    (answers && !hears).then(|| HttpMatch { headers: Vec::new(), method: Some(Method::OPTIONS), ..m.clone() })
}

/// What tells a question from any other request with OPTIONS. `about`: the method that it must ask for.
pub(super) fn is_question(about: Option<Method>) -> Vec<HeaderMatch> {
    let any = || ValueMatch::Regex(".+".into());
    let method = about.map_or_else(any, |method| ValueMatch::Exact(method.as_str().into()));
    vec![
        HeaderMatch { name: "origin".into(), value: any() },
        HeaderMatch { name: "access-control-request-method".into(), value: method },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Forward;
    use tombolo_api::gateway::{CorsFilter, HttpFilter, PathMatch};

    fn rule(action: Action, cors: Option<CorsFilter>) -> Rule {
        let (request_headers, response_headers, mirrors) = Default::default();
        Rule { action, request_headers, response_headers, cors: cors.map(Box::new), mirrors }
    }

    fn forward() -> Action {
        let (shares, host, path, timeout, try_timeout, retry, client_affinity) = Default::default();
        Action::Forward(Forward { shares, host, path, timeout, try_timeout, retry, client_affinity })
    }

    fn cors() -> Option<CorsFilter> {
        let filter = serde_json::json!({"type": "CORS", "cors": {"allowOrigins": ["https://example.com"]}});
        match serde_json::from_value(filter).unwrap() {
            HttpFilter::Cors(cors) => Some(cors),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_match_that_would_not_hear_questions_gets_one_that_does() {
        let method = |name: &str| serde_json::from_value::<Method>(name.into()).unwrap();
        let version = HeaderMatch { name: "version".into(), value: ValueMatch::Exact("two".into()) };
        let path = PathMatch::Exact("/api".into());
        let plain = HttpMatch { path, ..HttpMatch::default() };
        let question = Some(HttpMatch { method: Some(Method::OPTIONS), ..plain.clone() });
        let cases = [
            (plain.clone(), None),
            (HttpMatch { method: Some(Method::OPTIONS), ..plain.clone() }, None),
            (HttpMatch { method: Some(method("GET")), ..plain.clone() }, question.clone()),
            (HttpMatch { headers: vec![version.clone()], ..plain.clone() }, question.clone()),
            (HttpMatch { headers: vec![version], method: Some(method("PUT")), ..plain.clone() }, question),
        ];
        for (m, expected) in cases {
            assert_eq!(preflight(&rule(forward(), cors()), &m), expected, "{m:?}");
            assert_eq!(preflight(&rule(forward(), None), &m), None, "no CORS filter");
            assert_eq!(preflight(&rule(Action::Respond(500), cors()), &m), None, "nothing behind it");
        }
    }
}
