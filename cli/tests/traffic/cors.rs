//! Cross-origin questions (`HTTPCORSFilter`), answered before they reach a backend.

use crate::support::{Answer, World, route, traffic};

const RULES: &str = r"
  - matches: [{path: {value: /full}}]
    filters:
    - type: CORS
      cors:
        allowOrigins: ['https://www.foo.com', 'https://*.bar.com']
        allowMethods: [GET, OPTIONS]
        allowHeaders: [x-header-1, x-header-2]
        exposeHeaders: [x-header-3, x-header-4]
        allowCredentials: true
        maxAge: 3600
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /any-method}}]
    filters: [{type: CORS, cors: {allowOrigins: ['https://www.foo.com'], allowMethods: ['*']}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /any-origin}}]
    filters: [{type: CORS, cors: {allowOrigins: ['*'], allowMethods: [PUT]}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /anything}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true}}
    backendRefs: [{name: v1, port: 8080}]";

/// A browser's question before it sends a request.
async fn preflight(world: &World, host: &str, path: &str, origin: &str, method: &str) -> Answer {
    let ask = world.get("http", host, path).method("OPTIONS").header("origin", origin);
    let ask = ask.header("access-control-request-method", method);
    ask.header("access-control-request-headers", "x-header-1, x-header-2").gets(200).await
}

fn said<const N: usize>(answer: &Answer, names: [&str; N]) -> [String; N] {
    names.map(|name| answer.header(&format!("access-control-{name}")).replace(' ', ""))
}

#[test]
fn a_preflight_is_told_what_is_allowed() {
    traffic(async |world| {
        world.apply("cors", &route("cors", RULES)).await;
        for origin in ["https://www.foo.com", "https://www.bar.com", "https://a.b.bar.com"] {
            let answer = preflight(world, "cors.test", "/full", origin, "GET").await;
            let names =
                ["allow-origin", "allow-methods", "allow-headers", "expose-headers", "max-age", "allow-credentials"];
            let wanted = [origin, "GET,OPTIONS", "x-header-1,x-header-2", "x-header-3,x-header-4", "3600", "true"];
            assert_eq!(said(&answer, names), wanted);
            assert!(answer.echo.is_null(), "it must not reach the backend: {}", answer.echo);
        }
        for origin in ["https://foobar.com", "https://bar.com", "http://www.bar.com"] {
            let answer = preflight(world, "cors.test", "/full", origin, "GET").await;
            assert_eq!(said(&answer, ["allow-origin"]), [""], "{origin}");
            assert!(answer.echo.is_null(), "it must not reach the backend: {}", answer.echo);
        }
    });
}

#[test]
fn wildcards_allow_what_is_asked_for() {
    traffic(async |world| {
        world.apply("cors-any", &route("cors-any", RULES)).await;
        let names = ["allow-origin", "allow-methods", "allow-headers", "allow-credentials", "max-age"];
        let answer = preflight(world, "cors-any.test", "/any-method", "https://www.foo.com", "POST").await;
        assert_eq!(said(&answer, names), ["https://www.foo.com", "POST", "", "", "5"]);
        let answer = preflight(world, "cors-any.test", "/any-origin", "https://x.test:12345", "PUT").await;
        assert_eq!(said(&answer, names), ["https://x.test:12345", "PUT", "", "", "5"]);
        // With credentials a browser takes no `*`, so what it asked for is repeated.
        let answer = preflight(world, "cors-any.test", "/anything", "https://other.foo.com", "PUT").await;
        assert_eq!(said(&answer, names), ["https://other.foo.com", "PUT", "x-header-1,x-header-2", "true", "5"]);
    });
}

#[test]
fn the_request_itself_says_who_may_read_its_answer() {
    traffic(async |world| {
        world.apply("cors-simple", &route("cors-simple", RULES)).await;
        let get = |path, origin| world.get("http", "cors-simple.test", path).header("origin", origin);
        let names = ["allow-origin", "allow-credentials", "expose-headers"];
        let answer = get("/full", "https://www.bar.com").reaches("v1").await;
        assert_eq!(said(&answer, names), ["https://www.bar.com", "true", "x-header-3,x-header-4"]);
        let answer = get("/full", "https://foobar.com").reaches("v1").await;
        assert_eq!(said(&answer, names), ["", "", ""]);
        let answer = get("/any-origin", "https://foobar.com").method("PUT").reaches("v1").await;
        assert_eq!(said(&answer, names), ["https://foobar.com", "", ""]);
        // The gateway's word counts, not the backend's.
        let said_by_backend = "/full?header=access-control-allow-origin:https://evil.test";
        let answer = get(said_by_backend, "https://www.foo.com").reaches("v1").await;
        assert_eq!(said(&answer, ["allow-origin"]), ["https://www.foo.com"]);
    });
}

/// A browser asks with OPTIONS whether it may send what the rule is for, so the rule must hear it.
#[test]
fn a_preflight_finds_the_rule_of_the_method_that_it_asks_for() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /api}, method: GET}]
    filters: [{type: CORS, cors: {allowOrigins: ['https://www.foo.com'], allowMethods: [GET]}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /api}, method: PUT, headers: [{name: x-version, value: two}]}]
    filters: [{type: CORS, cors: {allowOrigins: ['https://www.bar.com'], allowMethods: [PUT]}}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{path: {value: /headers}, headers: [{name: x-version, value: two}]}]
    filters: [{type: CORS, cors: {allowOrigins: ['https://www.foo.com'], allowMethods: ['*']}}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{path: {value: /mixed}, method: GET}]
    filters: [{type: CORS, cors: {allowOrigins: ['https://www.foo.com'], allowMethods: [GET]}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /mixed}}]
    backendRefs: [{name: v3, port: 8080}]";
        world.apply("cors-method", &route("cors-method", rules)).await;
        let names = ["allow-origin", "allow-methods"];
        let answer = preflight(world, "cors-method.test", "/api/x", "https://www.foo.com", "GET").await;
        assert_eq!(said(&answer, names), ["https://www.foo.com", "GET"]);
        // The headers that a rule asks for come with the request, not with the question.
        let answer = preflight(world, "cors-method.test", "/api/x", "https://www.bar.com", "PUT").await;
        assert_eq!(said(&answer, names), ["https://www.bar.com", "PUT"]);
        let answer = preflight(world, "cors-method.test", "/api/x", "https://www.foo.com", "PUT").await;
        assert_eq!(said(&answer, names), ["", "PUT"]);
        let answer = preflight(world, "cors-method.test", "/headers", "https://www.foo.com", "PATCH").await;
        assert_eq!(said(&answer, names), ["https://www.foo.com", "PATCH"]);
        // Beside a rule for all methods, each answers for its own.
        let answer = preflight(world, "cors-method.test", "/mixed", "https://www.foo.com", "GET").await;
        assert_eq!(said(&answer, names), ["https://www.foo.com", "GET"]);
        let answer = preflight(world, "cors-method.test", "/mixed", "https://www.foo.com", "PUT").await;
        assert_eq!(answer.echo["backend"], "v3");
        world.get("http", "cors-method.test", "/mixed").method("OPTIONS").reaches("v3").await;
        // What is no question is no business of theirs.
        world.get("http", "cors-method.test", "/api").method("OPTIONS").gets(404).await;
        let ask = world.get("http", "cors-method.test", "/api").method("OPTIONS");
        ask.header("origin", "https://www.foo.com").header("access-control-request-method", "DELETE").gets(404).await;
    });
}
