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
